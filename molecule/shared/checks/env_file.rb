# frozen_string_literal: true

# Prints as JSON the variables that Mastodon reads from its env files. The names are arguments. Absent ones are null.
# The other lines are compared with the original file: they must have the same bytes in the same order.
require 'dotenv'
require 'json'

FIRST = '/root/env.production.first'
LIVE = '/home/mastodon/live'

def other_lines(path, names)
  File.binread(path).lines.reject { |line| names.any? { |name| line.match?(/\A\s*#?\s*#{name}=/n) } }
end

def other_variables(path, names)
  Dotenv::Parser.call(File.read(path, encoding: 'bom|utf-8')).reject { |name, _| names.include?(name) }
end

environment = ENV.to_h
Dotenv.load(*%w[.env.production.local .env.local .env.production .env].map { |name| File.join(LIVE, name) })
found = ARGV.to_h { |name| [name, environment.key?(name) ? nil : ENV[name]] }
now = File.join(LIVE, '.env.production')
status = File.stat(now)
puts JSON.generate(
  variables: found,
  others_unchanged: other_lines(FIRST, ARGV) == other_lines(now, ARGV),
  same_parsed: other_variables(FIRST, ARGV) == other_variables(now, ARGV),
  mode: format('%04o', status.mode & 0o7777), owner: status.uid, group: status.gid
)
