/** The shells that have a script. */
export const shells = ["bash", "zsh", "fish"] as const;

/** One of them. */
export type Shell = (typeof shells)[number];

/**
 * The completion script of a shell. It asks `program`, an absolute path, at each Tab and hands over the words as they are:
 * nothing that is typed is evaluated. Needs no other completion package.
 */
export function completionScript(shell: Shell, program: string): string {
  return { bash, zsh, fish }[shell](`'${program.replaceAll("'", `'\\''`)}'`);
}

// Bash takes `team:payments` for three words, and replaces the last of them. What it puts in is read by the shell: `*` has
// to be quoted. After KEY= there is more to type.
const bash = (program: string): string => `# bash completion for hermit
_hermit() {
  local line word typed
  local -a words=()
  local joined=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ ( $word == : || -n $joined ) && \${#words[@]} -gt 0 ]]; then
      words[\${#words[@]}-1]+=$word
    else
      words+=("$word")
    fi
    joined=
    [[ $word == : ]] && joined=yes
  done
  typed="\${words[\${#words[@]}-1]}"
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default 2>/dev/null
      return
    fi
    line="\${line%%$'\\t'*}"
    if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
      line="\${line#"\${typed%"\${typed##*:}"}"}"
    fi
    printf -v line '%q' "$line"
    COMPREPLY+=("$line")
  done < <(${program} complete -- "\${words[@]}" 2>/dev/null)
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[=.] ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _hermit hermit
`;

const zsh = (program: string): string => `#compdef hermit
_hermit() {
  local line
  local -a found
  for line in "\${(@f)$(${program} complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    [[ -n $line ]] || continue
    if [[ $line == *$'\\t'* ]]; then
      found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    else
      found+=("\${line//:/\\\\:}")
    fi
  done
  (( \${#found} )) || return
  if [[ -z \${(M)found:#*[^=.]} ]]; then
    _describe -V hermit found -S ''
  else
    _describe -V hermit found
  fi
}
if [[ $funcstack[1] == _hermit ]]; then
  _hermit "$@"
else
  compdef _hermit hermit
fi
`;

const fish = (program: string): string => `# fish completion for hermit
function __hermit_complete
  set -l words (commandline -opc)
  set -e words[1]
  set -l typed (commandline -ct)
  set -l found (${program} complete -- $words "$typed" 2>/dev/null)
  if test "$found[1]" = :files
    __fish_complete_path "$typed"
  else
    string join \\n -- $found
  end
end
complete -c hermit -f -a '(__hermit_complete)'
`;
