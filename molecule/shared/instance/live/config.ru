# frozen_string_literal: true

require_relative 'config/environment'

# Mastodon needs 10 to 30 seconds to boot
sleep(Float(ENV.fetch('STAND_IN_BOOT_SECONDS', '0')))
run StandIn::Web.new
