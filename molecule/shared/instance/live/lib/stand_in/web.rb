# frozen_string_literal: true

require 'json'
require 'mastodon/version'

module StandIn
  # The web process: host check, forced TLS, a health check that does not use the storage, an API with a cache.
  class Web
    THUMBNAIL_FILE = File.join(ROOT, 'db', 'thumbnail.json')
    CACHE_FILE = File.join(ROOT, 'db', 'cache-instance.json')

    def initialize
      @domain = ENV.fetch('LOCAL_DOMAIN')
      @cache_seconds = Float(ENV.fetch('STAND_IN_CACHE_SECONDS', '180'))
      @media = Media.new('web')
      @queue = Queue.new('default')
    end

    def call(env)
      return answer(200, 'OK', 'text/plain') if env['PATH_INFO'] == '/health'
      return answer(403, 'Blocked hosts', 'text/plain') unless host(env) == @domain
      return [301, { 'location' => "https://#{@domain}#{env['PATH_INFO']}" }, []] unless env['HTTP_X_FORWARDED_PROTO'] == 'https'

      route("#{env['REQUEST_METHOD']} #{env['PATH_INFO']}", env)
    end

    private

    def host(env)
      env['HTTP_HOST'].to_s.sub(/:\d+\z/, '')
    end

    def route(request, env)
      case request.split('?').first
      when 'GET /api/v2/instance' then answer(200, instance)
      when 'GET /api/v1/timelines/public' then answer(200, timeline)
      when 'POST /api/v2/media' then upload(env['rack.input'].read)
      when %r{\AGET /api/v1/media/(.+)\z} then answer(200, medium(Regexp.last_match(1)))
      when 'POST /inbox' then inbox
      else answer(404, JSON.generate(error: 'Record not found'))
      end
    end

    # The cache survives a restart, as in Redis.
    def instance
      return File.read(CACHE_FILE) if File.exist?(CACHE_FILE) && Time.now - File.mtime(CACHE_FILE) < @cache_seconds

      keys = JSON.parse(File.read(THUMBNAIL_FILE))
      urls = keys.transform_values { |key| @media.storage.url(key) }
      body = JSON.generate(domain: @domain, title: 'Stand-in', version: Mastodon::Version.to_s,
                           thumbnail: { url: urls.fetch('@1x'), versions: urls.slice('@1x', '@2x') },
                           icon: [{ src: urls.fetch('icon'), size: '36x36' }])
      File.write("#{CACHE_FILE}.#{Process.pid}", body)
      File.rename("#{CACHE_FILE}.#{Process.pid}", CACHE_FILE)
      body
    end

    # Not cached, as in Mastodon.
    def timeline
      stored = []
      Ledger.each { |line| stored << line if line[:event] == 'stored' && line[:who] == 'web' }
      posts = stored.last(20).map do |line|
        url = @media.storage.url(line[:key])
        { account: { url: "https://#{@domain}/@someone" }, media_attachments: [{ url: url, preview_url: url }] }
      end
      JSON.generate(posts)
    end

    # The original is stored here. A job of the worker creates the other styles from it.
    def upload(bytes)
      extension = bytes.start_with?("\x89PNG".b) ? 'png' : 'mp4'
      key = Keys.make('media_attachments/files', Keys.snowflake, 'original', extension)
      @media.store(key, bytes)
      @queue.push(type: 'process', key: key)
      answer(202, medium(key))
    rescue StandardError => e
      @media.note('refused', key, error: e.class.name)
      answer(503, JSON.generate(error: 'Storage is down'))
    end

    # A medium's ID is its key.
    def medium(key)
      JSON.generate(id: key, url: @media.storage.url(key))
    end

    # Another server's post, with media to fetch.
    def inbox
      @queue.push(type: 'fetch')
      answer(202, '')
    end

    def answer(status, body, type = 'application/json; charset=utf-8')
      [status, { 'content-type' => type }, [body]]
    end
  end
end
