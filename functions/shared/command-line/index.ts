/**
 * What a command line may hold, read and explained: one value describes a command, and its help, its mistakes and the shells'
 * completion follow from it. Loads commander, which a webhook without arguments does not need.
 */
export type { Arguments, Command, Operand, Option } from './command.ts';
export {
  type CommandGroup,
  formatCommandHelp,
  formatProgramHelp,
  formatUsage,
  type Program,
} from './format-help.ts';
export { nearestName } from './nearest-name.ts';
export { readArguments } from './read-arguments.ts';
