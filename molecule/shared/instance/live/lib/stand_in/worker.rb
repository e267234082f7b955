# frozen_string_literal: true

require 'optparse'

module StandIn
  # Simulates Sidekiq: signals, a process title that is updated slowly, running jobs, shutdown.
  class Worker
    VERSION = '7.3.9'
    HEARTBEAT = 10
    SHUTDOWN_TIMEOUT = 25
    RETRY_DELAY = 2
    FETCHED = [['cache/media_attachments/files', %w[original small]], ['cache/accounts/avatars', %w[original]],
               ['cache/preview_cards/images', %w[original]], ['cache/custom_emojis/images', %w[original static]]].freeze
    # Seconds between two jobs of a kind.
    SCHEDULE = { 'vacuum' => 3, 'suspend' => 7, 'backup' => 15 }.freeze

    def self.from_arguments(arguments)
      options = { concurrency: 5, queues: [] }
      OptionParser.new do |parser|
        parser.on('-c', '--concurrency NUMBER', Integer) { |number| options[:concurrency] = number }
        parser.on('-q', '--queue NAME') { |name| options[:queues] << name.split(',').first }
      end.parse!(arguments)
      options[:queues] = %w[default scheduler] if options[:queues].empty?
      new(**options)
    end

    def initialize(concurrency:, queues:)
      @concurrency = concurrency
      @queues = queues.to_h { |name| [name, Queue.new(name)] }
      @media = Media.new('sidekiq')
      @in_flight = {}
      @lock = Mutex.new
      @quiet = false
    end

    def run
      signals = Thread::Queue.new
      %w[TSTP TERM INT].each { |name| Signal.trap(name) { signals << name } }
      show_title
      Thread.new { loop { sleep(HEARTBEAT) && show_title } }
      Thread.new { schedule } if @queues.key?('scheduler')
      @concurrency.times { Thread.new { work } }
      log('Running')
      loop do
        name = signals.pop
        @quiet = true
        log("Received #{name}, no longer accepting new work")
        return shut_down unless name == 'TSTP'
      end
    end

    private

    def show_title
      stopping = @quiet ? ' stopping' : ''
      $0 = "sidekiq #{VERSION} #{File.basename(ROOT)} [#{@in_flight.size} of #{@concurrency} busy]#{stopping}"
    end

    def log(text)
      $stdout.puts("pid=#{Process.pid} #{text}")
      $stdout.flush
    end

    # A job that does not end in time is put back into its queue.
    def shut_down
      deadline = Time.now + SHUTDOWN_TIMEOUT
      sleep(0.1) until @in_flight.empty? || Time.now > deadline
      @lock.synchronize { @in_flight.each_value { |queue, job| queue.push(job) } }
      log('Bye!')
    end

    def work
      loop do
        queue, job = take
        next sleep(0.2) if job.nil?

        begin
          perform(job)
        rescue StandardError => e
          @media.note('error', job[:key].to_s, job: job[:type], error: "#{e.class}: #{e.message}"[0, 200])
          sleep(RETRY_DELAY)
          queue.push(job)
        ensure
          @lock.synchronize { @in_flight.delete(Thread.current) }
        end
      end
    end

    def take
      @lock.synchronize do
        return nil if @quiet

        @queues.each_value do |queue|
          job = queue.take
          next if job.nil?

          @in_flight[Thread.current] = [queue, job]
          return [queue, job]
        end
        nil
      end
    end

    def perform(job)
      case job[:type]
      when 'process' then process(job[:key], job.fetch(:tries, 0))
      when 'fetch' then fetch
      when 'vacuum' then @media.delete(job[:keys])
      when 'suspend' then @media.hide(job[:key])
      when 'backup' then back_up
      end
    end

    # After one retry the upload fails permanently. This shows if a switch is done in the wrong order.
    def process(key, tries)
      @media.note('processing', key)
      original = @media.storage.read(key)
      if original.nil?
        return @media.note('failed', key) if tries >= 1

        sleep(RETRY_DELAY)
        return @queues.fetch('default').push(type: 'process', key: key, tries: tries + 1)
      end
      sleep(key.end_with?('.mp4') ? 6 : rand(0.1..0.6))
      @media.store(key.sub(%r{/original/}, '/small/').sub(/\.mp4\z/, '.png'), Pictures.png)
      @media.note('processed', key)
    end

    def fetch
      sleep(rand(0.1..1.0))
      folder, styles = FETCHED.sample
      id = folder.include?('media') ? Keys.snowflake : SecureRandom.random_number(1 << 30)
      extension = %w[png jpg webp gif].sample
      key = Keys.make(folder, id, styles.first, extension)
      styles.each do |style|
        @media.store(key.sub("/#{styles.first}/", "/#{style}/"), Pictures.make(extension))
      end
    end

    def back_up
      key = "backups/dumps/#{Keys.partition(SecureRandom.random_number(1000))}/original/" \
            "archive-#{Time.now.strftime('%Y%m%d%H%M%S')}-#{SecureRandom.hex(16)}.zip"
      @media.store(key, Pictures.zip, private: true)
    end

    def schedule
      last = Hash.new(Time.now)
      loop do
        sleep(1)
        next if @quiet || File.exist?(File.join(ROOT, 'db', 'pause'))

        SCHEDULE.each do |type, seconds|
          next if Time.now - last[type] < seconds

          last[type] = Time.now
          job = plan(type)
          @queues.fetch('scheduler').push(job) if job
        end
      end
    end

    def plan(type)
      case type
      when 'backup' then { type: type }
      when 'vacuum'
        keys = living.grep(%r{\Acache/}).sample(2)
        { type: type, keys: keys } unless keys.empty?
      when 'suspend'
        key = living.grep(%r{\A(cache/)?media_attachments/}).sample
        { type: type, key: key } if key
      end
    end

    # Keys that were stored, and were neither deleted nor made private afterwards.
    def living
      keys = {}
      Ledger.each do |line|
        case line[:event]
        when 'stored' then keys[line[:key]] = true
        when 'deleting', 'hiding' then keys.delete(line[:key])
        end
      end
      keys.keys
    end
  end
end
