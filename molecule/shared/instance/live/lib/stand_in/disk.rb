# frozen_string_literal: true

require 'fileutils'
require 'tempfile'

module StandIn
  # Media below public/system, written the way Paperclip writes them.
  class Disk
    def self.from_env(env)
      new(root: env.fetch('PAPERCLIP_ROOT_PATH', File.join(ROOT, 'public', 'system')),
          root_url: env.fetch('PAPERCLIP_ROOT_URL', '/system'), domain: env.fetch('LOCAL_DOMAIN'))
    end

    def initialize(root:, root_url:, domain:)
      @root = root
      @root_url = root_url
      @domain = domain
    end

    def name
      'disk'
    end

    # A new file is private at first: a temporary file with mode 0600 is moved to its folder (with PrivateTmp from another
    # file system, so it is copied and keeps its mtime). Then it gets its mode.
    def store(key, bytes, content_type: nil, private: false)
      target = path(key)
      Tempfile.create('upload', binmode: true) do |file|
        file.write(bytes)
        file.flush
        FileUtils.mkdir_p(File.dirname(target))
        FileUtils.mv(file.path, target)
        FileUtils.chmod(0o666 & ~File.umask, target)
      end
    end

    def read(key)
      File.binread(path(key))
    rescue Errno::ENOENT
      nil
    end

    def delete(keys)
      keys.each { |key| FileUtils.rm_f(path(key)) }
    end

    # Suspension of the owner. Returns whether it took effect.
    def hide(key)
      File.chmod(0o600 & ~File.umask, path(key))
      true
    rescue Errno::ENOENT
      false
    end

    def url(key)
      "https://#{@domain}#{@root_url}/#{Keys.escape(key)}"
    end

    private

    def path(key)
      File.join(@root, key)
    end
  end
end
