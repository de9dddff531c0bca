import type { Option } from './command-line/index.ts';

/** Options that several commands have. */
export const settingsOption: Option = {
  type: 'text',
  value: 'FILE',
  summary: 'variables as NAME=value, one per line; the environment wins over them',
};

export const sharedOption: Option = {
  type: 'switch',
  summary: 'also copy what only your own docker login opens: every namespace may use the copy',
};

export const jsonOption: Option = {
  type: 'switch',
  summary: 'print one JSON document, and nothing else, to standard output',
};
