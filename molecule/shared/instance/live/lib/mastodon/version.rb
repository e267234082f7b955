# frozen_string_literal: true

module Mastodon
  module Version
    module_function

    def major
      4
    end

    def minor
      5
    end

    def patch
      2
    end

    def default_prerelease
      ''
    end

    def prerelease
      version_configuration[:prerelease].presence || default_prerelease
    end

    def to_a
      [major, minor, patch].compact
    end

    def to_s
      to_a.join('.')
    end
  end
end
