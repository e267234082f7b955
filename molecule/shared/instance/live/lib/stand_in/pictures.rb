# frozen_string_literal: true

require 'securerandom'
require 'zlib'

module StandIn
  # Small, unique files whose content matches their extension.
  module Pictures
    JPEG = ('/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////' \
            '////////////////2wBDAf////////////////////////////////////////////////////////////////////////////////' \
            '//////wAARCAABAAEDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAH/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAA' \
            'AAAAAAAAAAAAAAAAAQL/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCAKD//2Q==').unpack1('m')
    GIF = 'R0lGODdhAQABAIEAAChayAAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQAOw=='.unpack1('m')
    WEBP = 'UklGRh4AAABXRUJQVlA4TBEAAAAvAAAAAAdQraIUuf+BiOh/AAA='.unpack1('m')

    module_function

    def make(extension)
      public_send(extension)
    end

    def png(width: 16 + SecureRandom.random_number(48), height: 16)
      rows = Array.new(height) { "\0".b + SecureRandom.bytes(width * 3) }.join
      "\x89PNG\r\n\x1A\n".b + chunk('IHDR', [width, height, 8, 2, 0, 0, 0].pack('NNC5')) +
        chunk('IDAT', Zlib.deflate(rows)) + chunk('IEND', '')
    end

    # A comment segment behind the start marker makes it unique.
    def jpg
      note = SecureRandom.hex(200)
      JPEG[0, 2] + [0xFFFE, note.bytesize + 2].pack('nn') + note + JPEG[2..]
    end

    # A comment extension before the image descriptor.
    def gif
      note = SecureRandom.hex(100)
      GIF[0, 25] + "\x21\xFE".b + [note.bytesize].pack('C') + note + "\0".b + GIF[25..]
    end

    # RIFF readers skip unknown chunks.
    def webp
      body = WEBP[8..] + 'note'.b + [256].pack('V') + SecureRandom.bytes(256)
      'RIFF'.b + [body.bytesize].pack('V') + body
    end

    def mp4
      box('ftyp', "isom\0\0\x02\0isomiso2mp41".b) + box('free', '') + box('mdat', SecureRandom.bytes(60_000))
    end

    def mp3
      "ID3\x04\0\0\0\0\0\0".b + Array.new(20) { "\xFF\xFB\x90\x64".b + SecureRandom.bytes(413) }.join
    end

    # An archive with one stored member.
    def zip
      name = 'outbox.json'
      data = SecureRandom.hex(2000)
      common = [20, 0, 0, 0, 0, Zlib.crc32(data), data.bytesize, data.bytesize, name.bytesize, 0]
      local = ['PK', 3, 4].pack('a2C2') + common.pack('v5V3v2') + name + data
      entry = ['PK', 1, 2, 20].pack('a2C2v') + common.pack('v5V3v2') + [0, 0, 0, 0, 0].pack('v3V2') + name
      local + entry + ['PK', 5, 6, 0, 0, 1, 1, entry.bytesize, local.bytesize, 0].pack('a2C2v4V2v')
    end

    def csv
      "Account address\n#{Array.new(5) { "#{SecureRandom.hex(4)}@example.org" }.join("\n")}\n"
    end

    def chunk(type, data)
      [data.bytesize].pack('N') + type + data + [Zlib.crc32(type + data)].pack('N')
    end

    def box(type, data)
      [data.bytesize + 8].pack('N') + type + data
    end
  end
end
