/** How long a title is at most, in characters. */
const TITLE_LENGTH = 120;

/** A conversation with an agent. */
export interface SessionRecord {
  readonly id: string;
  readonly agentId: string;
  readonly key: string;
  readonly userId: string;
  readonly channel: string;
  readonly title: string;
  readonly createTime: Date;
  /** When its last turn was sent or ended. */
  readonly lastActivityTime: Date;
  readonly turnCount: number;
  /** The position of the newest transcript entry; 0 when there is none. */
  readonly transcriptHead: bigint;
}

/** The title of a session that starts with this message: its first 120 characters, never half of one. */
export function titleOf(message: string): string {
  let title = "";
  let length = 0;
  for (const character of message) {
    if (length === TITLE_LENGTH) break;
    title += character;
    length += 1;
  }
  return title;
}
