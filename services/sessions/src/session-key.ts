/** The place a message belongs to; no part holds a colon. */
export interface Chat {
  /** For example `cli` or `api`. */
  readonly platform: string;
  /** `dm`, `group`, `channel` or another word of that platform. */
  readonly chatType: string;
  readonly chatId: string;
  /** Empty without threads. */
  readonly threadId: string;
}

/** What a session stands for: `agent:<id>:<platform>:<chat type>:<chat>[:<thread>]`. Unique over all agents. */
export function sessionKey(agentId: string, chat: Chat): string {
  const { platform, chatType, chatId, threadId } = chat;
  return ["agent", agentId, platform, chatType, chatId, ...(threadId === "" ? [] : [threadId])].join(":");
}

/** The chat of a session that was made for one message without a chat. */
export function ownChat(sessionId: string): Chat {
  return { platform: "api", chatType: "dm", chatId: sessionId, threadId: "" };
}
