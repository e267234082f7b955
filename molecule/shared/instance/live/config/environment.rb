# frozen_string_literal: true

require_relative 'boot'
require 'dotenv'

LIVE = File.expand_path('..', __dir__)

# The four files and their order are those of dotenv's Rails hook. The first file that sets a variable wins,
# and none overrides the process environment.
Dotenv.load(*%W[.env.#{ENV.fetch('RAILS_ENV')}.local .env.local .env.#{ENV.fetch('RAILS_ENV')} .env].map { |name| File.join(LIVE, name) })

$LOAD_PATH.unshift(File.join(LIVE, 'lib'))
require 'mastodon/version'
require 'stand_in'

# Simulates a server that does not start with a bucket, as after a typing error or without a gem. `rails runner` does start.
refused = ENV['S3_ENABLED'] == 'true' && File.exist?(File.join(LIVE, 'db/refuse-bucket')) && File.basename($PROGRAM_NAME) != 'rails'
abort 'Storage backend failed to load' if refused
