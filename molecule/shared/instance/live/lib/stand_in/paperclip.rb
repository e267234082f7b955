# frozen_string_literal: true

module StandIn
  # The part of Paperclip that code in `rails runner` needs to use the storage without a record in the database.
  module Paperclip
    # One file, with the names and the meaning that Paperclip's methods have.
    class Attachment
      STYLE = :original

      def self.default_options
        prefix = ENV.key?('S3_KEY_PREFIX') ? "#{ENV.fetch('S3_KEY_PREFIX')}/" : ''
        { storage: StandIn.storage.is_a?(Bucket) ? :s3 : :filesystem,
          path: "#{prefix}:class/:attachment/:id_partition/:style/:filename" }
      end

      attr_reader :queued_for_write

      def initialize(name, record, path: self.class.default_options[:path])
        @key = path.sub(':filename', record.public_send("#{name}_file_name"))
        @storage = StandIn.storage
        @queued_for_write = {}
      end

      def style_name_as_path(_style = STYLE)
        @key
      end

      def s3_bucket
        @storage.bucket
      end

      def s3_object(_style = STYLE)
        s3_bucket.object(@key)
      end

      def s3_permissions(_style = STYLE)
        @storage.permission unless @storage.permission.empty?
      end

      def url(_style = STYLE)
        "#{@storage.public_root}/#{Keys.escape(@key)}"
      end

      def expiring_url(seconds = 3600, _style = STYLE)
        s3_object.presigned_url(:get, expires_in: seconds).to_s
      end

      def flush_writes
        @queued_for_write.each_value do |file|
          s3_object.upload_file(file.path, content_type: file.content_type, cache_control: Bucket::CACHE_CONTROL,
                                           **(s3_permissions ? { acl: s3_permissions } : {}))
          file.close!
        end
        @queued_for_write = {}
      end

      # Like Paperclip, it only warns.
      def copy_to_local_file(_style, path)
        s3_object.download_file(path)
      rescue Aws::Errors::ServiceError => e
        warn("#{e} - cannot copy #{@key} to local file #{path}")
        false
      end
    end
  end
end
