# Reads dotenv files with the real gem. One path per line on stdin, one line of JSON each on stdout.
# Usage: ruby ruby_reader.rb [LIB]   LIB: the gem's lib folder, in place of the installed one.
require "json"
$LOAD_PATH.unshift(ARGV[0]) if ARGV[0]
require "dotenv"

# Test files are random, so what they hold must not run.
Dotenv::Substitutions::Command.define_singleton_method(:`) { |_command| "COMMAND" }

# What is in the environment already would win over the files.
ENV.clear
keyword = Dotenv::Environment.instance_method(:initialize).parameters.any? { |kind, _| kind == :key }

$stdout.sync = true
$stdin.each_line(chomp: true) do |path|
  begin
    values = keyword ? Dotenv::Environment.new(path, overwrite: true) : Dotenv::Environment.new(path, true)
    answer = { values: values.to_h.transform_values { |value| value.encode("UTF-8") } }
  rescue ScriptError, StandardError => error
    answer = { error: "#{error.class}: #{error.message}".scrub }
  end
  puts JSON.generate(answer)
end
