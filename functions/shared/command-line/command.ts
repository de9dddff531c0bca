/** What `image-cloner NAME` takes and does. Its file imports nothing that is slow to load: `run` does, when it is called. */
export interface Command extends CommandSyntax {
  /** One line, in the list of commands. */
  readonly summary: string;
  /** What it reads and changes, in sentences; lines are wrapped when it is printed. */
  readonly description: string;
  readonly examples: readonly Example[];
  /** Meanings that differ from those of all commands. */
  readonly exitCodes?: Readonly<Partial<Record<0 | 1 | 2, string>>>;
  /** Runs until a signal, also when its output has no reader, and speaks for the program. @default false */
  readonly isServer?: boolean;
  /** Reads the manifests of knative/, which the container image does not have. @default false */
  readonly needsCheckout?: boolean;
  /** Mistakes in a combination of valid arguments. */
  readonly findProblems?: (args: Arguments) => readonly string[];
  /** Resolves with `false` if the command failed. */
  readonly run: (args: Arguments) => Promise<boolean>;
}

/** What a command line may hold. Every command has `--help` and `-h` besides. */
export interface CommandSyntax {
  readonly name: string;
  readonly operands?: readonly Operand[];
  readonly options?: Readonly<Record<string, Option>>;
}

/** An argument that is no option. */
export interface Operand {
  /** In upper case, such as IMAGE. */
  readonly name: string;
  readonly summary: string;
  /** @default any word */
  readonly choices?: readonly string[];
  /** @default false */
  readonly isOptional?: boolean;
  /** Only the last one. @default false */
  readonly isRepeated?: boolean;
}

interface OptionBase {
  readonly summary: string;
}

/** `--apply` */
interface SwitchOption extends OptionBase {
  readonly type: 'switch';
}

/** `--used FILE` and `--used=FILE`, or `--installation[=NAME]`, which takes a value only behind `=`: the next word may be an operand. */
interface TextOption extends OptionBase {
  readonly type: 'text';
  /** In upper case, such as FILE. */
  readonly value: string;
  /** Without a value, `values` has an empty text. @default false */
  readonly isValueOptional?: boolean;
}

/** `--output json` */
interface ChoiceOption extends OptionBase {
  readonly type: 'choice';
  readonly choices: readonly string[];
}

/** `--rate 12`, a whole number. */
interface NumberOption extends OptionBase {
  readonly type: 'number';
  /** In upper case, such as SECONDS. */
  readonly value: string;
  readonly min: number;
  readonly max: number;
}

export type Option = SwitchOption | TextOption | ChoiceOption | NumberOption;

interface Example {
  /** As it is typed into a shell. */
  readonly command: string;
  readonly explanation: string;
}

/** A command line that was read. */
export interface Arguments {
  /** The switches that are set. */
  readonly switches: ReadonlySet<string>;
  /** Valid values only; of a `number`, its digits. */
  readonly values: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
  /** One sentence for each mistake. A command reports them together with wrong variables. */
  readonly problems: readonly string[];
}

/** The name of the program that has all commands. */
export const programName = 'image-cloner';
