/**
 * The command line imports this first. A Node that is too old gets one line and exit code 64, where some later module would fail
 * with a stack trace. Nothing here may need a newer Node than the oldest that it reports.
 */

/** By its major version, the oldest Node that runs this package; `engines` in package.json says the same. */
const oldest: ReadonlyMap<number, number> = new Map([
  [20, 19],
  [22, 12],
])
/** From this major version on, every Node does. */
const oldestMajor = 24

/** The complaint about a Node that is too old; undefined when it is not. */
export function nodeComplaint(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major >= oldestMajor || minor >= (oldest.get(major) ?? Number.POSITIVE_INFINITY)) return undefined
  return `streampipeline needs Node.js 20 (20.19 or later), 22 (22.12 or later), or ${oldestMajor} and newer. This is ${version}: install a newer one, or put it first in PATH`
}

const complaint = nodeComplaint(process.versions.node)
if (complaint !== undefined) {
  process.stderr.write(`${complaint}\n`)
  process.exit(64)
}
