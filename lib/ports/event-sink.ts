/** A Kubernetes Event about one object. */
export interface KubernetesEvent {
  /** Of the Event itself. */
  readonly name: string;
  readonly namespace: string;
  readonly object: EventObject;
  readonly type: 'Normal' | 'Warning';
  /** One word that a person can search for. */
  readonly reason: string;
  readonly message: string;
  /** How often it happened. */
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly firstAt: number;
  readonly lastAt: number;
}

/** What an Event is about, and where `kubectl describe` shows it. */
export interface EventObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** `kubectl describe` shows only Events with the uid of the object. */
  readonly uid?: string | undefined;
}

/** Writes Events. Never rejects. */
export interface EventSink {
  create(event: KubernetesEvent): Promise<EventResult>;
  /** Counts one more of an Event that was created. */
  repeat(event: KubernetesEvent): Promise<EventResult>;
}

/** `absent`: the Event has expired, or its namespace does not exist. */
export type EventResult = 'written' | 'absent' | 'forbidden' | 'failed';
