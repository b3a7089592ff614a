// The bar above the article: is the server there, who else is, and what happens to notes meanwhile.
import { html, nothing, render } from 'lit-html'
import { repeat } from 'lit-html/directives/repeat.js'
import type { WebsocketProvider } from 'y-websocket'
import { nameOf, type Reader } from './reader'
import { badge } from './view'

const STATES = { connecting: 'Connecting…', live: 'Live', offline: 'Offline', refused: 'Closed' }
const CLOSED: Record<number, string> = {
  4401: 'You are no longer signed in.',
  4403: 'The server does not accept what this window holds.',
  4404: 'This page is not open to visitors here.',
  4409: 'The page was rewritten by its keepers.',
  4413: 'What this window sent is too large.'
}
const SHOWN = 6
const NOTICE_MS = 6000

/** Shows the connection of `provider` in two elements of the page and remembers what people are called. */
export class LinkBar {
  private state: keyof typeof STATES = 'connecting'
  private unsent = 0
  private notice = ''
  private refusal = ''
  private readonly names = new Map<string, string>()

  constructor (
    private readonly provider: WebsocketProvider,
    private readonly me: Reader,
    private readonly bar: HTMLElement,
    private readonly strip: HTMLElement
  ) {
    provider.on('sync', (synced) => { if (synced) this.online() })
    provider.on('connection-close', () => { if (this.state !== 'refused') this.show('offline') })
    provider.on('closed', ({ code, reason }) => {
      this.refusal = `${CLOSED[code] ?? 'The server has closed the connection.'} (${code}${reason === '' ? '' : `: ${reason}`})`
      this.show('refused')
    })
    provider.awareness.on('change', () => this.show())
    provider.doc.on('afterTransaction', ({ local, changed }) => {
      if (local && changed.size > 0 && !provider.synced) this.show(this.state, ++this.unsent)
    })
    // The browser has lost its network: ask the socket now instead of after half a minute of silence.
    addEventListener('offline', () => { provider.disconnect(); provider.connect() })
    addEventListener('beforeunload', (event) => { if (this.unsent > 0) event.preventDefault() })
    this.show()
  }

  /** What to call the user with this id. */
  readonly nameOf = (id: string): string => this.names.get(id) ?? nameOf(id)

  /** Shows one sentence for a few seconds. */
  say (notice: string): void {
    this.notice = notice
    this.show()
    setTimeout(() => {
      if (this.notice === notice) this.notice = ''
      this.show()
    }, NOTICE_MS)
  }

  private online (): void {
    const merged = this.unsent > 0
    this.unsent = 0
    this.show('live')
    if (merged) this.say('Back online: what you wrote meanwhile is merged.')
  }

  /** Everybody here once, however many tabs they have open, this reader first. */
  private readers (): Reader[] {
    const here = new Map<string, Reader>([[this.me.id, this.me]])
    const states = this.provider.awareness.getStates().values() as Iterable<{ user?: Partial<Reader> }>
    for (const { user } of states) {
      const id = user?.id
      if (id !== undefined && !here.has(id)) here.set(id, { id, name: user?.name ?? nameOf(id) })
    }
    for (const { id, name } of here.values()) this.names.set(id, name)
    return [...here.values()]
  }

  private show (state = this.state, unsent = this.unsent): void {
    this.state = state
    const kept = unsent === 0 ? 'your notes are' : unsent === 1 ? 'your change is' : `your ${unsent} changes are`
    const strips = {
      connecting: nothing,
      live: this.notice === '' ? nothing : html`<p class="strip" data-kind="notice">${this.notice}</p>`,
      offline: html`<p class="strip" data-kind="offline"><b>Offline</b> — ${kept} kept in this window and will be merged when the server is back.</p>`,
      refused: html`<p class="strip" data-kind="refused">${this.refusal} <button type="button" @click=${() => location.reload()}>Reload the page</button></p>`
    }
    render(strips[state], this.strip)
    render(html`<span class="link" data-link=${state}>${STATES[state]}</span>${state === 'live' ? this.people() : nothing}`, this.bar)
  }

  private people (): unknown {
    const readers = this.readers()
    const title = ({ id, name }: Reader): string => id === this.me.id ? `${name} (you)` : name
    return html`
      <ul class="readers" aria-label="Who is here">
        ${repeat(readers.slice(0, SHOWN), ({ id }) => id, (reader) => html`<li title=${title(reader)}>${badge(reader)}</li>`)}
      </ul>
      <span class="count">${readers.length === 1 ? '1 person here' : `${readers.length} people here`}</span>`
  }
}
