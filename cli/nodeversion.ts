/**
 * The command line imports this first. A Node that is too old gets one line and exit code 64, where some later module would fail
 * with a stack trace. Nothing here may need a newer Node than the oldest that it reports.
 */

/** The oldest Node that runs this package; `engines` in package.json says the same. */
export const oldestNode = 24

/** The complaint about a Node that is too old; undefined when it is not. */
export function nodeComplaint(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= oldestNode) return undefined
  return `streampipeline needs Node.js ${oldestNode} or newer, and this is ${version}: install one, or put a newer node first in PATH`
}

const complaint = nodeComplaint(process.versions.node)
if (complaint !== undefined) {
  process.stderr.write(`${complaint}\n`)
  process.exit(64)
}
