/**
 * Imported before everything else by the command line: under a Node that is too old it says so in one line and ends (exit 64),
 * instead of failing in the middle of some module. Nothing here may need a newer Node than the one it complains about.
 */

/** The oldest Node that runs this package; `engines` in package.json says the same. */
export const oldestNode = 24

/** What to tell somebody whose Node is too old; undefined when it isn't. */
export function nodeComplaint(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= oldestNode) return undefined
  return `streampipeline needs Node.js ${oldestNode} or newer, and this is ${version}: install one, or put a newer node first in PATH`
}

const complaint = nodeComplaint(process.versions.node)
if (complaint !== undefined) {
  process.stderr.write(`${complaint}\n`)
  process.exit(64)
}
