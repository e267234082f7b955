// Reads dotenv files with the real package. One path per line on stdin, one line of JSON each on stdout.
// Usage: node node_reader.cjs FOLDER   FOLDER: where node_modules is.
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')
const dotenv = require(path.join(process.argv[2], 'node_modules', 'dotenv'))

readline.createInterface({ input: process.stdin }).on('line', (file) => {
  let answer
  try {
    answer = { values: dotenv.parse(fs.readFileSync(file, { encoding: 'utf8' })) }
  } catch (error) {
    answer = { error: String(error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
})
