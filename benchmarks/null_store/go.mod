module fediverse.mastodon_s3/benchmarks/null_store

go 1.21
