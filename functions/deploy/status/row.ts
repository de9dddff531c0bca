/** The state of one part of an installation. */
export interface State {
  readonly isGood: boolean;
  /** If it is not good, with the command that helps. */
  readonly text: string;
}

/** A line of the page. */
export interface Row extends State {
  readonly what: string;
}
