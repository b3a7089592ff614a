// Moderation beside the document: what the server tells moderators, and what everybody may ask of them.
import { readVarString } from 'lib0/decoding'
import type { WebsocketProvider } from 'y-websocket'

export interface Flag { entity: string, user: string, at: number, reason: string }
export interface Ruling { entity: string, by: string, at: number, reason: string }
export interface Hidden extends Ruling { creator: string, excerpt: string }
/** One decision of a moderator; `action` may be one that this page does not offer. */
export interface Decision extends Ruling { action: string }

/** The control frame `moderation` (docs/protocol.md), as it comes after the join and after each change. */
export interface Told {
  counts: { flags: number, hidden: number, closed: number, rulings: number }
  flags: Flag[]
  hidden: Hidden[]
  closed: Ruling[]
  rulings: Decision[]
}

export type Action = 'flag' | 'hide' | 'unhide' | 'restore' | 'dismiss' | 'close' | 'reopen'

const CONTROL = 100
const DONE: Record<Action, string> = {
  flag: 'The moderators have been told.',
  hide: 'It is hidden from everybody.',
  unhide: 'It is back.',
  restore: 'It is back as it was written.',
  dismiss: 'Its flags are answered.',
  close: 'Nothing new is taken there now.',
  reopen: 'It is open again.'
}

/** The token in the address that `crdt-chat demo` prints for a moderator: behind `#`, so that no log holds it. */
export function tokenIn (hash: string): string | null {
  return new URLSearchParams(hash.slice(1)).get('moderator')
}

/** What a provider needs beyond the stock one: the token as a subprotocol, and that it wants these frames. */
export function asModerator (token: string | null): { protocols: string[], caps: Record<string, string> } {
  return token === null
    ? { protocols: [], caps: {} }
    : { protocols: ['crdt-chat', `crdt-chat.token.${token}`], caps: { caps: 'moderation.1' } }
}

export class Moderation {
  /** What moderators see; null for everybody else, and while the server is away. */
  told: Told | null = null

  constructor (
    provider: WebsocketProvider, private readonly token: string | null,
    private readonly tenant: string, private readonly page: string, private readonly query: Record<string, string>,
    changed: () => void
  ) {
    const show = (told: Told | null): void => { this.told = told; changed() }
    provider.messageHandlers[CONTROL] = (_encoder, decoder) => {
      const said = JSON.parse(readVarString(decoder)) as Told & { type: string, moderates: boolean }
      if (said.type === 'moderation') show(said.moderates ? said : null)
    }
    provider.on('connection-close', () => { if (this.told !== null) show(null) })
  }

  /** Asks the server for it. Returns the sentence to show: that it is done, or why not. */
  async ask (action: Action, entity: string, reason: string): Promise<string> {
    const verb = action === 'flag' ? 'flags' : 'moderation'
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    if (this.token !== null) headers['authorization'] = `Bearer ${this.token}`
    const body = JSON.stringify({ page: this.page, entity, reason, ...(action === 'flag' ? {} : { action }) })
    const address = `/api/v1/tenants/${encodeURIComponent(this.tenant)}/${verb}?${new URLSearchParams(this.query).toString()}`
    try {
      const answer = await fetch(address, { method: 'POST', headers, body })
      if (answer.ok) return DONE[action]
      return `That was not done: ${(await answer.json() as { message: string }).message}.`
    } catch {
      return 'The server is not there: try again later.'
    }
  }
}
