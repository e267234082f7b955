# frozen_string_literal: true

# As in Mastodon: without RAILS_ENV nothing starts.
abort 'ERROR: Missing RAILS_ENV environment variable, please set it to "production".' unless ENV.key?('RAILS_ENV')

ENV['BUNDLE_GEMFILE'] ||= File.expand_path('../Gemfile', __dir__)
require 'bundler/setup'
