/**
 * Puts the Node of package-lock.json where `npm run` and npx find it: node_modules/.bin/node. The Node of the machine runs this file, after
 * each `npm ci`. npm would make the link itself, but some releases of it take the link away again, together with the packages of other
 * platforms, which have a program of the same name.
 *
 * npm skips an optional package that it cannot fetch, and reports nothing. So this is also where a missing Node is found.
 */
const { existsSync, mkdirSync, rmSync, symlinkSync } = require('node:fs')
const { dirname, join, relative } = require('node:path')
const { optionalDependencies } = require('./package.json')

const { platform, arch } = process
const modules = join(__dirname, '..', '..', 'node_modules')
const names = ['node', 'node-bin'].map((prefix) => `${prefix}-${platform}-${arch}`)
const name = names.find((each) => each in optionalDependencies)
const program = join(modules, name ?? '', 'bin', 'node')

if (name === undefined) fail(`No Node for ${platform} on ${arch} is known: build/node/package.json lists the platforms.`)
else if (!existsSync(program)) fail(`npm left ${name} out, which is the Node that runs the sources. Run \`npm ci\` again.`)
else link(join(modules, '.bin', 'node'))

function link(path) {
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  symlinkSync(relative(dirname(path), program), path)
}

function fail(message) {
  console.error(message)
  process.exitCode = 1
}
