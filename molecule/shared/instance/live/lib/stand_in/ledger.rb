# frozen_string_literal: true

require 'digest'
require 'json'

module StandIn
  # A log of all changes to keys, from which the tests compute what must exist. It has one JSON line for each event, and
  # also one before an event that may be interrupted. It is outside of the media root, as a database would be.
  module Ledger
    PATH = File.join(ROOT, 'db', 'ledger.jsonl')

    module_function

    def write(event, key, who:, where:, **more)
      line = JSON.generate({ time: Time.now.to_f.round(3), event: event, key: key, who: who, where: where, **more })
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
