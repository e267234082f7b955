# frozen_string_literal: true

require 'digest'
require 'json'

module StandIn
  # Who did what to which key, and where: the only witness of what must exist in the end. One JSON line for each
  # deed, also before one that can be cut short. Lies outside of the media root, as a database would.
  module Ledger
    PATH = File.join(ROOT, 'db', 'ledger.jsonl')

    module_function

    def write(deed, key, who:, where:, **more)
      line = JSON.generate({ time: Time.now.to_f.round(3), deed: deed, key: key, who: who, where: where, **more })
      File.open(PATH, File::WRONLY | File::APPEND | File::CREAT, 0o644) { |file| file.syswrite("#{line}\n") }
    end

    def describe(bytes, content_type)
      { sha256: Digest::SHA256.hexdigest(bytes), size: bytes.bytesize, type: content_type }
    end

    def each
      return unless File.exist?(PATH)

      File.foreach(PATH) { |line| yield JSON.parse(line, symbolize_names: true) }
    end
  end
end
