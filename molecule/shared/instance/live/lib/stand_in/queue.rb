# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'securerandom'

module StandIn
  # Jobs as files, instead of in Redis. Web and workers share them. As in Redis, a job that was taken is removed.
  class Queue
    def initialize(name)
      @folder = File.join(ROOT, 'db', 'queues', name)
      FileUtils.mkdir_p(@folder)
    end

    def push(job)
      name = "#{Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)}-#{SecureRandom.hex(4)}.json"
      draft = File.join(@folder, ".#{name}")
      File.write(draft, JSON.generate(job))
      File.rename(draft, File.join(@folder, name))
    end

    # The oldest job, or nil. If two workers try to take it, only one can rename the file.
    def take
      Dir.children(@folder).grep(/\A\d/).sort.each do |name|
        mine = File.join(@folder, ".taken-#{name}")
        File.rename(File.join(@folder, name), mine)
        job = JSON.parse(File.read(mine), symbolize_names: true)
        File.unlink(mine)
        return job
      rescue Errno::ENOENT
        next
      end
      nil
    end
  end
end
