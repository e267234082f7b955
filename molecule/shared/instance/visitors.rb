# frozen_string_literal: true

# Simulates visitors who post pictures and other servers that deliver posts. Usage: DOMAIN LOG PAUSE-FILE
# The log has a line for each change of the response, so that the length of an interruption can be measured.
require 'json'
require 'net/http'
require 'openssl'
require 'securerandom'

$LOAD_PATH.unshift('/home/mastodon/live/lib')
require 'stand_in'

DOMAIN, LOG, PAUSE = ARGV

def ask(request)
  http = Net::HTTP.new(DOMAIN, 443, nil)
  http.ipaddr = '127.0.0.1'
  http.use_ssl = true
  http.verify_mode = OpenSSL::SSL::VERIFY_NONE
  http.open_timeout = http.read_timeout = 20
  http.request(request).code.to_i
rescue StandardError => e
  e.class.name
end

def note(what, answer)
  File.open(LOG, 'a') { |file| file.puts(JSON.generate(time: Time.now.to_f.round(3), what: what, answer: answer)) }
end

def every(seconds, what, stops: true)
  Thread.new do
    last = nil
    loop do
      sleep(seconds)
      next if stops && File.exist?(PAUSE)

      answer = ask(yield)
      note(what, answer) unless answer == last
      last = answer
    end
  end
end

def post(path, body)
  Net::HTTP::Post.new(path, 'Content-Type' => 'application/octet-stream').tap { |request| request.body = body }
end

[
  every(0.25, 'health', stops: false) { Net::HTTP::Get.new('/health') },
  every(0.7, 'inbox') { post('/inbox', '{}') },
  every(1, 'upload') { post('/api/v2/media', StandIn::Pictures.png) },
  every(9, 'video') { post('/api/v2/media', StandIn::Pictures.mp4) }
].each(&:join)
