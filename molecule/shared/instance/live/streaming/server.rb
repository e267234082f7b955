# frozen_string_literal: true

# Simulates streaming/index.js: it answers its health check, and does not use the storage settings.
require 'socket'

server = TCPServer.new('127.0.0.1', Integer(ENV.fetch('PORT')))
loop do
  client = server.accept
  client.gets
  client.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
  client.close
end
