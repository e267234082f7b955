# frozen_string_literal: true

threads 5, 5
bind "tcp://#{ENV.fetch('BIND', '127.0.0.1')}:#{ENV.fetch('PORT', 3000)}"
environment 'production'
workers Integer(ENV.fetch('WEB_CONCURRENCY', 2))
preload_app!
