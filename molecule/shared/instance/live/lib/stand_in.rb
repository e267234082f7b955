# frozen_string_literal: true

# What the migration can see of Mastodon, on the libraries that Mastodon itself uses. Nothing more.
module StandIn
  ROOT = File.expand_path('..', __dir__)

  autoload :Disk, 'stand_in/disk'
  autoload :Bucket, 'stand_in/bucket'
  autoload :Keys, 'stand_in/keys'
  autoload :Ledger, 'stand_in/ledger'
  autoload :Media, 'stand_in/media'
  autoload :Pictures, 'stand_in/pictures'
  autoload :Queue, 'stand_in/queue'
  autoload :Worker, 'stand_in/worker'
  autoload :Web, 'stand_in/web'

  # The storage that the environment names at boot, chosen as Mastodon's paperclip initializer does.
  def self.storage
    @storage ||= ENV['S3_ENABLED'] == 'true' ? Bucket.from_env(ENV) : Disk.from_env(ENV)
  end
end
