# frozen_string_literal: true

require 'securerandom'
require 'uri'

module StandIn
  # Names of media as Mastodon gives them.
  module Keys
    TYPES = {
      'png' => 'image/png', 'jpg' => 'image/jpeg', 'gif' => 'image/gif', 'webp' => 'image/webp', 'avif' => 'image/avif',
      'mp4' => 'video/mp4', 'mp3' => 'audio/mpeg', 'zip' => 'application/zip', 'csv' => 'text/csv'
    }.freeze
    # RFC 2396 does not escape these, but Paperclip does.
    ALSO_ESCAPED = /[?()\[\]+]/.freeze
    ESCAPER = URI::RFC2396_Parser.new

    module_function

    # Nine digits for small ids, otherwise 12, or 18 for a snowflake, in groups of three.
    def partition(id)
      width = id < 1_000_000_000 ? 9 : 18
      id.to_s.rjust(width, '0').scan(/\d{3}/).join('/')
    end

    def snowflake
      (Time.now.to_i * 1000 << 16) + SecureRandom.random_number(1 << 16)
    end

    def make(folder, id, style, extension)
      "#{folder}/#{partition(id)}/#{style}/#{SecureRandom.hex(8)}.#{extension}"
    end

    def type_of(key)
      TYPES.fetch(File.extname(key).delete_prefix('.'))
    end

    def escape(key)
      ESCAPER.escape(key).gsub(ALSO_ESCAPED) { |char| format('%%%02X', char.ord) }
    end
  end
end
