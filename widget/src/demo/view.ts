// What the margin and the bar look like: templates only, every gesture goes out through Actions.
import { html, nothing, type TemplateResult } from 'lit-html'
import { live } from 'lit-html/directives/live.js'
import { repeat } from 'lit-html/directives/repeat.js'
import { quoteOf, type Span } from './anchor'
import { ON_CARDS, closedView, closing, deskView, flagsView, reasonForm, verbs } from './desk'
import type { Action, Told } from './moderation'
import type { Deletion, Thread } from './notes'
import { initials, toneOf, type Reader } from './reader'

export interface PlacedThread extends Thread { span: Span | null }
export interface Draft { id: 'draft', quote: string, span: Span }

/**
 * Everything the margin is drawn from. `editing` and `confirming` are `thread` or `thread/comment`, with a verb
 * before it where a reason is asked for. `told` is for moderators only.
 */
export interface Margin {
  cards: Array<PlacedThread | Draft>
  hidden: number
  synced: boolean
  showResolved: boolean
  active: string | null
  editing: string | null
  confirming: string | null
  pageClosed: boolean
  told: Told | null
  deletions: Deletion[]
  me: Reader
  now: number
  nameOf: (id: string) => string
}

export interface Actions {
  activate: (thread: string | null) => void
  annotate: (body: string) => void
  discard: () => void
  reply: (thread: string, body: string) => void
  startEdit: (what: string | null) => void
  edit: (thread: string, comment: string, body: string) => void
  resolve: (thread: string, resolved: boolean) => void
  arm: (name: string) => void
  disarm: (name: string) => void
  remove: (thread: string, comment?: string) => void
  showResolved: (show: boolean) => void
  moderate: (action: Action, entity: string, reason?: string) => void
}

export function marginView (margin: Margin, actions: Actions): TemplateResult {
  const { cards, hidden, showResolved, synced } = margin
  const count = cards.filter(({ id }) => id !== 'draft').length
  return html`
    <div class="margin-head">
      <h2>${count === 1 ? '1 note' : `${count} notes`}</h2>
      <p>You write as ${margin.me.name}</p>
      ${hidden > 0 || showResolved
        ? html`<label><input type="checkbox" .checked=${live(showResolved)} @change=${() => actions.showResolved(!showResolved)}> Show resolved${hidden > 0 ? ` (${hidden})` : ''}</label>`
        : nothing}
      ${margin.pageClosed && margin.told === null ? html`<p>A moderator has closed this page: nothing new is taken.</p>` : nothing}
    </div>
    ${deskView(margin, actions)}
    ${cards.length === 0
      ? html`<p class="empty">${synced ? 'Nothing in this margin yet. Select some words of the article to write the first note.' : 'Opening the margin…'}</p>`
      : nothing}
    <ol class="cards">
      ${repeat(cards, (card) => card.id, (card) =>
        'quote' in card ? draftCard(card, margin, actions) : threadCard(card, margin, actions))}
    </ol>`
}

function draftCard ({ quote }: Draft, margin: Margin, actions: Actions): TemplateResult {
  return html`
    <li class="card" data-id="draft" data-active data-tone=${toneOf(margin.me.id)}>
      <p class="quote">${quote}</p>
      ${form('draft', ['Your note', 'Write in the margin…', 'Comment'], actions.annotate, actions.discard)}
    </li>`
}

export function badge ({ id, name }: Reader): TemplateResult {
  return html`<span class="badge" data-tone=${toneOf(id)} role="img" aria-label=${name}>${initials(name)}</span>`
}

function threadCard (thread: PlacedThread, margin: Margin, actions: Actions): TemplateResult {
  const active = margin.active === thread.id
  const mine = thread.annotation.creator === margin.me.id
  const quote = quoteOf(thread.annotation.target.selector)?.exact
  const open = margin.told !== null || !(thread.closed || margin.pageClosed)
  return html`
    <li class="card" data-id=${thread.id} data-tone=${toneOf(thread.annotation.creator)}
        ?data-active=${active} ?data-resolved=${thread.resolved}
        @click=${() => { if (!active) actions.activate(thread.id) }}>
      <button class="quote" type="button" aria-expanded=${active} title="Show the passage">${quote ?? 'About the whole article'}</button>
      ${flagsView(thread.id, !active, margin)}
      ${thread.span === null && quote !== undefined ? html`<p class="orphan">These words are no longer in the article.</p>` : nothing}
      <ol class="comments">
        ${repeat(thread.comments, (comment) => comment.id, (comment) => commentView(thread, comment, margin, actions))}
      </ol>
      ${active
        ? html`
          ${thread.closed || margin.pageClosed ? closedView(thread.id, margin.told) : nothing}
          ${thread.resolved
            ? html`<p class="settled">Resolved</p>`
            : !open ? nothing : form(thread.id, ['Reply', 'Reply…', 'Reply'], (body) => actions.reply(thread.id, body), () => actions.activate(null))}
          ${reasonForm(thread.id, ON_CARDS, margin, actions)}
          <div class="tools about">
            ${mine ? html`<button type="button" @click=${() => actions.resolve(thread.id, !thread.resolved)}>${thread.resolved ? 'Reopen' : 'Resolve'}</button>` : nothing}
            ${mine ? removal(thread.id, 'Delete thread', margin, actions, () => actions.remove(thread.id)) : nothing}
            ${verbs(thread.id, mine, margin, actions)}
            ${closing(thread.id, thread.closed, margin, actions)}
            <button class="close" type="button" @click=${(event: Event) => { event.stopPropagation(); actions.activate(null) }}>Close</button>
          </div>`
        : nothing}
    </li>`
}

function commentView (
  thread: PlacedThread, comment: Thread['comments'][number], margin: Margin, actions: Actions
): TemplateResult {
  const name = `${thread.id}/${comment.id}`
  const author = margin.nameOf(comment.creator)
  const mine = comment.creator === margin.me.id
  const active = margin.active === thread.id
  return html`
    <li class="comment" data-comment=${comment.id}>
      ${badge({ id: comment.creator, name: author })}
      <p class="byline"><b>${author}</b>
        <time datetime=${new Date(comment.created).toISOString()} title=${new Date(comment.created).toLocaleString()}>${ago(comment.created, margin.now)}</time>
        ${comment.edited === undefined ? nothing : html`<span>edited</span>`}</p>
      ${margin.editing === name
        ? form(name, ['Edit your comment', '', 'Save'], (body) => actions.edit(thread.id, comment.id, body), () => actions.startEdit(null), comment.body)
        : html`<p class="body">${comment.body}</p>`}
      ${active ? flagsView(name, false, margin) : nothing}
      ${active ? reasonForm(name, ON_CARDS, margin, actions) : nothing}
      ${active && margin.editing?.endsWith(name) !== true
        ? html`<div class="tools">
            ${verbs(name, mine, margin, actions)}
            ${mine ? html`<button type="button" @click=${() => actions.startEdit(name)}>Edit</button>` : nothing}
            ${!mine ? nothing : thread.comments.length > 1 || thread.annotation.creator !== margin.me.id ? removal(name, 'Delete', margin, actions, () => actions.remove(thread.id, comment.id)) : nothing}
          </div>`
        : nothing}
    </li>`
}

/** Deleting takes two presses of one button, so that nothing jumps and the keyboard stays where it is. */
function removal (
  name: string, label: string, margin: Margin, actions: Actions, remove: () => void
): TemplateResult {
  const armed = margin.confirming === name
  return html`<button type="button" ?data-armed=${armed}
    @click=${() => armed ? remove() : actions.arm(name)}
    @blur=${() => { if (armed) actions.disarm(name) }}>${armed ? `${label} for everybody?` : label}</button>`
}

/** What was typed but not sent, by thread, comment or `draft`: closing a card loses nothing. */
const typed = new Map<string, string>()

export function form (
  key: string, [label, hint, verb]: [string, string, string],
  submit: (body: string) => void, cancel: () => void, body = '', longest = 10_000, optional = false
): TemplateResult {
  const send = (form: HTMLFormElement): void => {
    const field = form.querySelector('textarea')!
    const text = field.value.trim()
    if (text === '' && !optional) return field.focus()
    field.value = ''
    typed.delete(key)
    submit(text)
  }
  const leave = (event: Event): void => {
    event.stopPropagation()
    typed.delete(key)
    cancel()
  }
  const keys = (event: KeyboardEvent): void => {
    const field = event.target as HTMLTextAreaElement
    if (event.key === 'Escape') leave(event)
    else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      send(field.form!)
    }
  }
  return html`
    <form class="write" @submit=${(event: SubmitEvent) => { event.preventDefault(); send(event.target as HTMLFormElement) }}>
      <textarea aria-label=${label} placeholder=${hint} rows="2" maxlength=${longest} .defaultValue=${typed.get(key) ?? body}
        @input=${({ target }: Event) => typed.set(key, (target as HTMLTextAreaElement).value)} @keydown=${keys}></textarea>
      <div class="tools">
        <button class="primary" type="submit">${verb}</button>
        <button type="button" @click=${leave}>Cancel</button>
        <kbd>Ctrl ⏎</kbd>
      </div>
    </form>`
}

/** How long ago a time in milliseconds was, as short as a margin needs it. */
export function ago (then: number, now: number): string {
  const minutes = Math.floor((now - then) / 60_000)
  if (minutes < 1) return 'now'
  if (minutes < 60) return `${minutes} min`
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`
  return new Date(then).toLocaleDateString(undefined, { day: 'numeric', month: 'short' })
}
