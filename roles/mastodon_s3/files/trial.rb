# frozen_string_literal: true

# Tries object storage with Mastodon's own code: Paperclip, with the options that Mastodon's initializer has built, and the AWS SDK. It is
# run by `rails runner`. It stores two small objects below the folder of the probe's objects, uses them in all the ways in which
# Mastodon uses its media, and deletes them. It touches neither database nor Redis. Its last line is a JSON object with a result for each step.

require 'json'
require 'net/http'
require 'securerandom'
require 'stringio'
require 'tempfile'

# Tries the storage of this process.
class StorageTrial
  # A sync leaves this folder alone. The next probe deletes objects with such names that are older than an hour, see _s3/probe/names.py.
  FOLDER = 'accounts/.fediverse-mastodon-s3-probe/:filename'
  # Where Mastodon puts its media, after a prefix.
  LAYOUT = ':class/:attachment/:id_partition/:style/:filename'
  # Seconds for each address. Stores need some time until a new object or a new ACL is seen everywhere.
  PATIENCE = 10
  TIMEOUTS = { open_timeout: 10, read_timeout: 10 }.freeze
  REDIRECTS = 3

  # What Paperclip needs to know of a record.
  Record = Struct.new(:id, :file_file_name, :file_content_type)

  # A name, seconds, and the error or nil, for each step.
  attr_reader :steps

  def initialize
    @steps = []
    @attachments = []
  end

  # Each step needs those before it. What was stored is deleted in any case.
  def run
    step('settings') { check_settings }
    @bodies = Array.new(2) { SecureRandom.hex(32) }
    step('store') { @attachments.zip(@bodies) { |attachment, body| store(attachment, body) } }
    step('read') { check_body(read(@attachments[0]), 0) }
    step('change the ACL') { change_acl(@attachments[0]) } if acl?
    step('fetch by a presigned address') { wait_until { check_body(fetch(presigned(@attachments[0])), 0) } }
    step('fetch by its public address') { wait_until { check_body(fetch(@attachments[0].url(:original)), 0) } }
    step('delete') { @attachments[0].s3_object(:original).delete }
    step('delete in a batch') { delete_batch(@attachments) }
    step('miss what was deleted') { @attachments.each { |attachment| wait_until { check_gone(attachment) } } }
  ensure
    clean_up
  end

  private

  def succeeded?
    @steps.all? { |found| found[:error].nil? }
  end

  def step(name)
    return unless succeeded?

    begin_time = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    error = nil
    begin
      yield
    rescue StandardError => e
      error = "#{e.class}: #{e.message}"
    end
    seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - begin_time
    @steps << { name: name, seconds: seconds.round(2), error: error }
  end

  def check_settings
    storage = Paperclip::Attachment.default_options[:storage].to_s
    raise "Mastodon uses the storage '#{storage}', so something overrides S3_ENABLED" unless storage == 's3'

    @attachments = Array.new(2) { |number| attachment(number) }
  end

  def attachment(number)
    name = "#{SecureRandom.hex(8)}.0.0.#{SecureRandom.hex(16)}.trial-#{number}"
    path = Paperclip::Attachment.default_options[:path].sub(LAYOUT, FOLDER)
    Paperclip::Attachment.new(:file, Record.new(0, name, 'text/plain'), path: path)
  end

  def acl?
    @attachments.any? && !@attachments[0].s3_permissions(:original).to_s.empty?
  end

  def store(attachment, body)
    file = Tempfile.new('mastodon_s3_trial')
    file.write(body)
    file.flush
    file.define_singleton_method(:content_type) { 'text/plain' }
    attachment.queued_for_write[:original] = file
    attachment.flush_writes
  end

  # Paperclip only warns if it can't read.
  def read(attachment)
    warnings = $stderr = StringIO.new
    Tempfile.create('mastodon_s3_trial') do |file|
      raise warnings.string.strip if attachment.copy_to_local_file(:original, file.path) == false

      File.binread(file.path)
    end
  ensure
    $stderr = STDERR
  end

  # As when a user is suspended, and when the suspension ends.
  def change_acl(attachment)
    [:private, attachment.s3_permissions(:original)].each { |acl| attachment.s3_object(:original).acl.put(acl: acl.to_s) }
  end

  def presigned(attachment)
    attachment.expiring_url(60, :original)
  end

  def delete_batch(attachments)
    keys = attachments.map { |attachment| { key: attachment.style_name_as_path(:original) } }
    answer = attachments[0].s3_bucket.delete_objects(delete: { objects: keys, quiet: true })
    raise answer.errors.map { |error| "#{error.code}: #{error.message}" }.join(', ') unless answer.errors.empty?
  end

  def fetch(address, redirects = REDIRECTS)
    uri = URI.parse(address)
    raise "Mastodon returns an address that is not complete: #{address}" unless uri.is_a?(URI::HTTP) && uri.host

    answer = Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == 'https', **TIMEOUTS) { |http| http.get(uri.request_uri) }
    return fetch(URI.join(address, answer['location']).to_s, redirects - 1) if answer.is_a?(Net::HTTPRedirection) && redirects.positive?
    raise "#{uri.host} answers with status #{answer.code}" unless answer.is_a?(Net::HTTPOK)

    answer.body
  end

  def check_body(body, number)
    raise "it has #{body.bytesize} other bytes than those that were stored" unless body == @bodies[number]
  end

  def check_gone(attachment)
    fetch(presigned(attachment))
  rescue RuntimeError
    nil
  else
    raise 'the object is still there'
  end

  def wait_until
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
    begin
      yield
    rescue RuntimeError # not of the network: Mastodon would not try again either
      raise if Process.clock_gettime(Process::CLOCK_MONOTONIC) >= deadline

      sleep 1
      retry
    end
  end

  # Also if this process is told to end.
  def clean_up
    return if @steps.any? { |found| found[:name] == 'miss what was deleted' && found[:error].nil? }

    @attachments.each do |attachment|
      attachment.s3_object(:original).delete
    rescue StandardError
      nil # the next probe does it
    end
  end
end

trial = StorageTrial.new
trial.run
$stdout.puts
$stdout.puts JSON.generate(steps: trial.steps)
$stdout.flush
