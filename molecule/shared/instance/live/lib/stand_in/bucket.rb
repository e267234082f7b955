# frozen_string_literal: true

require 'aws-sdk-s3'

module StandIn
  # Media in a bucket, with the requests and the public URLs of Mastodon's Paperclip settings.
  class Bucket
    CACHE_CONTROL = 'public, max-age=315576000, immutable'

    # If S3_PERMISSION is unset, it is public-read. If it is empty, no ACL is sent.
    def self.from_env(env)
      client = {
        region: env.fetch('S3_REGION', 'us-east-1'),
        http_open_timeout: Integer(env.fetch('S3_OPEN_TIMEOUT', '5')),
        http_read_timeout: Integer(env.fetch('S3_READ_TIMEOUT', '5')),
        http_idle_timeout: 5,
        retry_limit: Integer(env.fetch('S3_RETRY_LIMIT', '0'))
      }
      if env['AWS_ACCESS_KEY_ID'] && env['AWS_SECRET_ACCESS_KEY']
        client.merge!(access_key_id: env['AWS_ACCESS_KEY_ID'], secret_access_key: env['AWS_SECRET_ACCESS_KEY'])
      end
      if env.key?('S3_ENDPOINT')
        client.merge!(endpoint: env['S3_ENDPOINT'], force_path_style: env['S3_OVERRIDE_PATH_STYLE'] != 'true')
      end
      new(client: client, bucket: env['S3_BUCKET'], prefix: env['S3_KEY_PREFIX'],
          permission: env.fetch('S3_PERMISSION', 'public-read'), public_root: public_root(env))
    end

    def self.public_root(env)
      protocol = env.fetch('S3_PROTOCOL', 'https')
      if env.key?('S3_ALIAS_HOST') || env.key?('S3_CLOUDFRONT_HOST')
        return "#{protocol}://#{env['S3_ALIAS_HOST'] || env['S3_CLOUDFRONT_HOST']}"
      end

      hostname = env.fetch('S3_HOSTNAME') { "s3-#{env.fetch('S3_REGION', 'us-east-1')}.amazonaws.com" }
      "#{protocol}://#{hostname}/#{env['S3_BUCKET']}"
    end

    def initialize(client:, bucket:, prefix:, permission:, public_root:)
      @bucket = Aws::S3::Resource.new(client: Aws::S3::Client.new(client)).bucket(bucket)
      @prefix = prefix
      @permission = permission
      @public_root = public_root
    end

    attr_reader :bucket, :permission, :public_root

    def name
      'bucket'
    end

    def store(key, bytes, content_type:, private: false)
      options = { body: bytes, cache_control: CACHE_CONTROL, content_type: content_type }
      options[:acl] = private ? 'private' : @permission unless @permission.empty?
      object(key).put(**options)
    end

    def read(key)
      object(key).get.body.read
    rescue Aws::S3::Errors::NoSuchKey
      nil
    end

    def delete(keys)
      answer = @bucket.delete_objects(delete: { objects: keys.map { |key| { key: full(key) } }, quiet: true })
      raise "not deleted: #{answer.errors.map { |error| [error.key, error.code] }}" unless answer.errors.empty?
    end

    # Without ACLs, Mastodon can't make objects private, and does not report this.
    def hide(key)
      return false if @permission.empty?

      object(key).acl.put(acl: 'private')
      true
    end

    def url(key)
      "#{@public_root}/#{Keys.escape(full(key))}"
    end

    private

    def full(key)
      @prefix.nil? ? key : "#{@prefix}/#{key}"
    end

    def object(key)
      @bucket.object(full(key))
    end
  end
end
