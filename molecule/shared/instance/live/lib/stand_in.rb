# frozen_string_literal: true

# Simulates the parts of Mastodon that a migration affects, with the same libraries.
module StandIn
  ROOT = File.expand_path('..', __dir__)

  autoload :Disk, 'stand_in/disk'
  autoload :Bucket, 'stand_in/bucket'
  autoload :Keys, 'stand_in/keys'
  autoload :Ledger, 'stand_in/ledger'
  autoload :Media, 'stand_in/media'
  autoload :Paperclip, 'stand_in/paperclip'
  autoload :Pictures, 'stand_in/pictures'
  autoload :Queue, 'stand_in/queue'
  autoload :Worker, 'stand_in/worker'
  autoload :Web, 'stand_in/web'

  # The storage from the environment at boot, with the rules of Mastodon's paperclip initializer.
  def self.storage
    @storage ||= ENV['S3_ENABLED'] == 'true' ? Bucket.from_env(ENV) : Disk.from_env(ENV)
  end
end
