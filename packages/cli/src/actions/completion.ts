import type { Command, Option } from "commander";
import type { Shell } from "../commands/completion.ts";

/** What can follow a command's name. */
interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OptionWords[];
  /** What its first argument can be, where that is not a file. */
  readonly choices: readonly string[];
}

interface OptionWords {
  /** `--format`, and `-f` where it has a short form. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** A completion script for a program. Nothing is run when a user completes: all words stand in the script. */
export function completionScript(program: Command, shell: Shell): string {
  const commands = program.createHelp().visibleCommands(program).map(commandWords);
  const named = commands.map((command) =>
    command.name === "help" ? { ...command, choices: commands.map(({ name }) => name) } : command,
  );
  const write = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return write(program.name(), named);
}

function commandWords(command: Command): CommandWords {
  return {
    name: command.name(),
    description: command.description(),
    options: command.createHelp().visibleOptions(command).map(optionWords),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
}

function optionWords({ long, short, description, required, optional, argChoices }: Option): OptionWords {
  return {
    flags: [long, short].filter((flag) => flag !== undefined && flag !== null),
    description,
    takesValue: required || optional,
    choices: argChoices ?? [],
  };
}

function bashScript(program: string, commands: readonly CommandWords[]): string {
  const cases = commands.flatMap(({ name, options, choices }) => [
    ...options
      .filter((option) => option.choices.length > 0)
      .map(
        (option) =>
          `    ${option.flags.map((flag) => `"${name} ${flag}"`).join("|")}) words="${option.choices.join(" ")}" ;;`,
      ),
    ...(choices.length > 0 ? [`    "${name} ${name}") words="${choices.join(" ")}" ;;`] : []),
  ]);
  const options = commands.map(
    ({ name, options: own }) => `      ${name}) words="${own.map(({ flags }) => flags[0]).join(" ")}" ;;`,
  );
  return `# bash completion for ${program}
_${identifier(program)}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} words=
  if ((COMP_CWORD == 1)); then
    words="${[...commands.map(({ name }) => name), "--help", "--version"].join(" ")}"
  elif [[ $cur == -* ]]; then
    case \${COMP_WORDS[1]} in
${options.join("\n")}
    esac
  else case "\${COMP_WORDS[1]} $prev" in
${cases.join("\n")}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
# Where nothing is known, files are completed.
complete -o bashdefault -o default -F _${identifier(program)} ${program}`;
}

function zshScript(program: string, commands: readonly CommandWords[]): string {
  const text = (value: string) => value.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, "\\$&");
  const option = ({ flags, description, takesValue, choices }: OptionWords) => {
    const both = flags.length > 1 ? `'(${flags.join(" ")})'{${flags.join(",")}}` : flags[0];
    const value = takesValue ? `:value:${choices.length > 0 ? `(${choices.join(" ")})` : "_files"}` : "";
    return `      ${both}'[${text(description)}]${value}'`;
  };
  const cases = commands.map(({ name, options, choices }) => {
    const rest = choices.length > 0 ? `'1:value:(${choices.join(" ")})'` : "'*:file:_files'";
    return `    ${name}) _arguments -S \\\n${[...options.map(option), `      ${rest}`].join(" \\\n")} ;;`;
  });
  return `#compdef ${program}
_${identifier(program)}() {
  local -a commands=(
${commands.map(({ name, description }) => `    '${name}:${description.replaceAll("'", "'\\''")}'`).join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join("\n")}
  esac
}
# Sourced it registers itself; found in fpath it is the function, and this is its first call.
if [[ $funcstack[1] == _${program} ]]; then _${identifier(program)} "$@"; else compdef _${identifier(program)} ${program}; fi`;
}

function fishScript(program: string, commands: readonly CommandWords[]): string {
  const text = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ name, description, options, choices }) => {
    const inside = `complete -c ${program} -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c ${program} -n __fish_use_subcommand -f -a ${name} -d ${text(description)}`,
      ...(choices.length > 0 ? [`${inside} -f -a '${choices.join(" ")}'`] : []),
      ...options.map((option) => {
        const names = option.flags.map((flag) =>
          flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
        );
        const value =
          option.choices.length > 0 ? ` -x -a '${option.choices.join(" ")}'` : option.takesValue ? " -r" : "";
        return `${inside} ${names.join(" ")}${value} -d ${text(option.description)}`;
      }),
    ];
  });
  return [`# fish completion for ${program}`, ...lines].join("\n");
}

/** A program's name as shells allow it for functions. */
const identifier = (program: string): string => program.replaceAll("-", "_");
