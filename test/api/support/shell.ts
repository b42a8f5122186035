/**
 * The commands of a shell text, in words: comments, redirections and assignments before a command are left out, pipes and lists are
 * taken apart. No expansion: a variable, or what `$(…)` gives, stays as it is written.
 */
export function commandsOf(text: string): readonly (readonly string[])[] {
  const commands: string[][] = []
  let words: string[] = []
  const end = () => {
    const begin = words.findIndex((word) => !/^\w+=/.test(word))
    if (begin !== -1) commands.push(words.slice(begin))
    words = []
  }
  const token =
    /(?<space>[ \t]+|\\\n)|(?<comment>(?<=^|\s)#[^\n]*)|(?<end>\n|\|\|?|&&?|;)|(?<redirection>\d?>>?[ \t]*\S+|<[ \t]*\S+)|(?<word>(?:'[^']*'|"(?:\\.|[^"])*"|\$\([^)]*\)|\\.|[^\s'"|&;<>\\])+)/gy
  for (const { groups = {} } of text.matchAll(token)) {
    if (groups['end'] !== undefined) end()
    else if (groups['word'] !== undefined) words.push(unquoted(groups['word']))
  }
  end()
  return commands
}

function unquoted(word: string): string {
  return word.replaceAll(/'([^']*)'|"((?:\\.|[^"])*)"|\\(.)/g, (_, single: string, double: string, escaped: string) =>
    String(single ?? double ?? escaped),
  )
}
