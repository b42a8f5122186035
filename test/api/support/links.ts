/** The links of a Markdown text, and the anchors of its headings as GitHub makes them. */
export interface Link {
  readonly line: number
  /** As it is written: `docs/redis.md#every-command`. */
  readonly target: string
}

const withoutCode = (text: string) =>
  text.replaceAll(/^```.*?^```/gms, (block) => block.replaceAll(/[^\n]/g, '')).replaceAll(/`[^`\n]*`/g, '')

/** Links with a target of their own, `[text](target)`; those in blocks of code are none. */
export function linksIn(text: string): readonly Link[] {
  const prose = withoutCode(text)
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(({ 1: target = '', index }) => ({
    line: prose.slice(0, index).split('\n').length,
    target,
  }))
}

export const isAbsolute = (target: string) => /^[a-z]+:/.test(target)

/** Anchors of this text, as they follow `#` in a link. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/^#+ +(.+)$/gm)]
  return new Set(
    headings.map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(/\s/g, '-'),
    ),
  )
}
