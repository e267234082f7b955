# frozen_string_literal: true

module StandIn
  # Storage that writes every change to the ledger.
  class Media
    def initialize(who, storage = StandIn.storage)
      @who = who
      @storage = storage
    end

    attr_reader :storage

    def store(key, bytes, content_type: Keys.type_of(key), private: false)
      @storage.store(key, bytes, content_type: content_type, private: private)
      note('stored', key, private: private, **Ledger.describe(bytes, content_type))
    end

    def delete(keys)
      keys.each { |key| note('deleting', key) }
      @storage.delete(keys)
      keys.each { |key| note('deleted', key) }
    end

    def hide(key)
      note('hiding', key)
      note('hidden', key, effective: @storage.hide(key))
    end

    def note(event, key, **more)
      Ledger.write(event, key, who: @who, where: @storage.name, **more)
    end
  end
end
