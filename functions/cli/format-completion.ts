import type { Command, Option } from '../shared/command-line/index.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/**
 * A script that completes the commands, their options and the choices of these. It is static: one that asks a program at each TAB
 * would have to pass on the words of an unfinished line, and to wait.
 */
export function formatCompletion(
  shell: Shell,
  program: string,
  commands: readonly Command[],
): string {
  const format = { bash: formatBash, zsh: formatZsh, fish: formatFish }[shell];
  return `${format(program, commands)}\n# Made by "${program} completion ${shell}".`;
}

/** Without the package bash-completion, and for bash 3.2, the one of macOS. */
function formatBash(program: string, commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const values = commands.flatMap(({ name, options = {} }) =>
    Object.entries(options)
      .filter(([, option]) => takesNextWord(option))
      .map(([flag, option]) => {
        const action = option.type === 'choice' ? `words='${option.choices.join(' ')}'` : 'return';
        return `      '${name} --${flag}') ${action} ;;`;
      }),
  );
  const cases = commands.map(({ name, options = {}, operands = [] }) => {
    const flags = [...Object.keys(options), 'help'].map((flag) => `--${flag}`).join(' ');
    const choices = operands.flatMap((operand) => operand.choices ?? []).join(' ');
    return `        ${name}) flags='${flags}' words='${choices}' ;;`;
  });
  const id = toIdentifier(program);
  return `${id}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} words='' flags=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words='${names} help' flags='--help --version'
  else
    case "\${COMP_WORDS[1]} $prev" in
${values.join('\n')}
      *)
      case \${COMP_WORDS[1]} in
        help) words='${names}' ;;
${cases.join('\n')}
      esac ;;
    esac
  fi
  [[ $cur == -* ]] && words=$flags
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F ${id} ${program}`;
}

function formatZsh(program: string, commands: readonly Command[]): string {
  const list = commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`);
  const cases = commands.map(({ name, options = {}, operands = [] }) => {
    const specs = [
      ...Object.entries(options).map(([flag, option]) => toZshOption(flag, option)),
      "'--help[show this help]'",
      ...operands.map((operand, index) => {
        const { choices, isRepeated = false } = operand;
        const action = choices === undefined ? '_default' : `(${choices.join(' ')})`;
        return quote(`${isRepeated ? '*' : index + 1}:${operand.name}:${action}`);
      }),
    ];
    return `    ${name}) _arguments ${specs.join(' ')} ;;`;
  });
  const id = toIdentifier(program);
  return `#compdef ${program}
${id}() {
  local -a commands
  commands=(
${list.join('\n')}
    'help:show the help of a command'
  )
  if (( CURRENT == 2 )) || [[ $words[2] == help ]]; then
    _describe -t commands command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join('\n')}
  esac
}
# Called at once where it is a file of fpath.
if [[ $funcstack[1] == ${id} ]]; then ${id} "$@"; else compdef ${id} ${program}; fi`;
}

function toZshOption(flag: string, option: Option): string {
  const summary = option.summary.replaceAll(/[[\]\\]/g, String.raw`\$&`);
  switch (option.type) {
    case 'switch':
      return quote(`--${flag}[${summary}]`);
    case 'text':
      return option.isValueOptional
        ? quote(`--${flag}=-[${summary}]::${option.value}: `)
        : quote(`--${flag}=[${summary}]:${option.value}:_default`);
    case 'choice':
      return quote(`--${flag}=[${summary}]:${flag}:(${option.choices.join(' ')})`);
    case 'number':
      return quote(`--${flag}=[${summary}]:${option.value}: `);
  }
}

function formatFish(program: string, commands: readonly Command[]): string {
  const complete = `complete --command ${program}`;
  const first = `${complete} --condition __fish_use_subcommand`;
  return [
    `${complete} --no-files`,
    `${first} --long-option help --description 'show this help'`,
    `${first} --long-option version --description 'show the version'`,
    `${first} --arguments help --description 'show the help of a command'`,
    `${complete} --condition '__fish_seen_subcommand_from help' --arguments '${commands.map(({ name }) => name).join(' ')}'`,
    ...commands.flatMap(({ name, summary, options = {}, operands = [] }) => {
      const inside = `${complete} --condition '__fish_seen_subcommand_from ${name}'`;
      return [
        `${first} --arguments ${name} --description ${quoteFish(summary)}`,
        `${inside} --long-option help --description 'show this help'`,
        ...Object.entries(options).map(
          ([flag, option]) =>
            `${inside} --long-option ${flag}${toFishValue(option)} --description ${quoteFish(option.summary)}`,
        ),
        ...operands
          .flatMap(({ choices }) => (choices === undefined ? [] : [choices.join(' ')]))
          .map((choices) => `${inside} --arguments '${choices}'`),
      ];
    }),
  ].join('\n');
}

function toFishValue(option: Option): string {
  if (!takesNextWord(option)) return '';
  if (option.type === 'choice') return ` --exclusive --arguments '${option.choices.join(' ')}'`;
  return option.type === 'number' ? ' --exclusive' : ' --require-parameter --force-files';
}

function takesNextWord(option: Option): boolean {
  return option.type !== 'switch' && !(option.type === 'text' && option.isValueOptional === true);
}

/** `_image_cloner` */
function toIdentifier(program: string): string {
  return `_${program.replaceAll('-', '_')}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function quoteFish(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
