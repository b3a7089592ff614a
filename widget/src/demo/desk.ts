// What moderators see in the margin: the desk above the notes, flags and verbs on each of them.
import { html, nothing, type TemplateResult } from 'lit-html'
import { repeat } from 'lit-html/directives/repeat.js'
import type { Action, Decision, Flag, Told } from './moderation'
import { quoteOf } from './anchor'
import { ago, form, type Actions, type Margin } from './view'

/** What is asked, its hint, and the word on the button; putting something back needs no reason. */
const REASONS: Record<string, [string, string, string]> = {
  flag: ['Why should a moderator look at this?', 'Why should a moderator look at this?', 'Send to the moderators'],
  hide: ['Why is this hidden? Only moderators read it', 'Why is this hidden?', 'Hide'],
  close: ['Why is this closed? Only moderators read it', 'Why is this closed?', 'Close it'],
  unhide: ['Why is this shown again? Only moderators read it; it may stay empty', 'Why is this shown again? (or nothing)', 'Show it again'],
  restore: ['Why is this restored? Only moderators read it; it may stay empty', 'Why is this restored? (or nothing)', 'Restore it'],
  reopen: ['Why is this reopened? Only moderators read it; it may stay empty', 'Why is this reopened? (or nothing)', 'Reopen it'],
  dismiss: ['Why may this stay? Only moderators read it; it may stay empty', 'Why may this stay? (or nothing)', 'It may stay']
}
const OPTIONAL = new Set(['unhide', 'restore', 'reopen', 'dismiss'])
export const ON_CARDS = ['flag', 'hide', 'close', 'reopen']

/** What a decision was, in the words of the desk. */
const DECIDED: Record<string, string> = {
  hide: 'Hidden', unhide: 'Shown again', restore: 'Restored', close: 'Closed', reopen: 'Reopened', dismiss: 'May stay',
  delete: 'Deleted', move: 'Moved', title: 'Title changed'
}
const FIRST = 3
const MOST = 20

/** The desk above the notes; nothing for everybody else. */
export function deskView (margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const { told, pageClosed } = margin
  if (told === null) return nothing
  const { flags, hidden } = told.counts
  return html`
    <section class="desk" aria-labelledby="desk-head" tabindex="-1">
      <h3 id="desk-head">For moderators</h3>
      <p role="status"><span class="flag-count" ?data-waiting=${flags > 0}>${counted(flags, 'flag')}</span>, ${hidden} hidden, page ${pageClosed ? 'closed' : 'open'}</p>
      <ul>
        ${repeat(told.flags, ({ entity, user }) => `${entity} ${user}`, (flag) => html`<li>${flagText(flag, margin)}
          ${told.flags.find(({ entity }) => entity === flag.entity) === flag ? reasonForm(flag.entity, ['dismiss'], margin, actions) : nothing}
          <div class="tools">
            <button type="button" @click=${() => actions.activate(threadOf(flag.entity))}>Show</button>
            <button type="button" @click=${() => actions.startEdit(`dismiss ${flag.entity}`)}>It may stay</button>
          </div></li>`)}
        ${repeat(told.hidden, ({ entity }) => entity, ({ entity, creator, excerpt, by, reason }) => html`<li>
          <span class="mark">Hidden</span> ${margin.nameOf(creator)}: <q>${excerpt}</q>
          <div>By ${margin.nameOf(by)}: ${why(reason)}</div>
          ${reasonForm(entity, ['unhide'], margin, actions)}
          <div class="tools"><button type="button" @click=${() => actions.startEdit(`unhide ${entity}`)}>Unhide</button></div></li>`)}
      </ul>
      ${reasonForm('page', ['close', 'reopen'], margin, actions)}
      <div class="tools">
        ${pageClosed
          ? html`<button type="button" @click=${() => actions.startEdit('reopen page')}>Reopen the page</button>`
          : html`<button type="button" @click=${() => actions.startEdit('close page')}>Close the page</button>`}
      </div>
      ${deletedView(margin, actions)}
      ${decisionsView(told, margin, actions)}
    </section>`
}

/** What was deleted, folded: a moderator can restore it, its author and time included. */
function deletedView (margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const gone = margin.deletions
  if (gone.length === 0) return nothing
  return html`<details class="gone"><summary>${gone.length} deleted</summary>
    <ul>${repeat(gone.slice(0, MOST), ({ entity, by }) => `${entity} ${by}`, ({ entity, by, at }) => html`<li>
      <span class="verb">Deleted</span> ${nameOfNote(entity, margin)}, by ${margin.nameOf(by)}, ${ago(at, margin.now)}
      ${reasonForm(entity, ['restore'], margin, actions)}
      <div class="tools"><button type="button" @click=${() => actions.startEdit(`restore ${entity}`)}>Restore</button></div></li>`)}
    </ul></details>`
}

/** What moderators decided last and why: the newest open, the others folded. */
function decisionsView (told: Told, margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const { rulings } = told
  if (rulings.length === 0) return nothing
  const earlier = rulings.slice(FIRST)
  const item = (decision: Decision): TemplateResult => decisionText(decision, margin, actions)
  return html`<h4>Recent decisions</h4>
    <ul class="decisions">${rulings.slice(0, FIRST).map(item)}</ul>
    ${earlier.length === 0
      ? nothing
      : html`<details><summary>${earlier.length} earlier</summary><ul class="decisions">${earlier.map(item)}</ul></details>`}`
}

function decisionText ({ entity, action, by, at, reason }: Decision, margin: Margin, actions: Actions): TemplateResult {
  const thread = threadOf(entity)
  return html`<li><span class="verb">${DECIDED[action] ?? action}</span> ${nameOfNote(entity, margin)}, ${margin.nameOf(by)}, ${ago(at, margin.now)}: ${why(reason)}
    ${margin.cards.some(({ id }) => id === thread)
      ? html`<div class="tools"><button type="button" @click=${() => actions.activate(thread)}>Show</button></div>`
      : nothing}</li>`
}

/** What moderators call a thread, a comment or the page, as far as this window still sees it. */
function nameOfNote (entity: string, { cards, told, nameOf }: Margin): string {
  if (entity === 'page') return 'the page'
  const [thread, comment] = entity.split('/')
  const card = cards.find(({ id }) => id === thread)
  const words = card === undefined || 'quote' in card ? undefined : quoteOf(card.annotation.target.selector)?.exact
  const about = words === undefined ? '' : ` on “${shortened(words)}”`
  const hidden = told?.hidden.find((each) => each.entity === entity)
  if (hidden !== undefined) return `“${shortened(hidden.excerpt)}”`
  if (comment === undefined) return `the thread${about}`
  const note = card === undefined || 'quote' in card ? undefined : card.comments.find(({ id }) => id === comment)
  return note === undefined ? `a note${about}` : `${nameOf(note.creator)}’s “${shortened(note.body)}”`
}

/** Flags of one note or thread, for moderators; how many, where its card is folded. */
export function flagsView (entity: string, folded: boolean, margin: Margin): TemplateResult | typeof nothing {
  const below = (name: string): boolean => name === entity || (folded && name.startsWith(`${entity}/`))
  const flags = (margin.told?.flags ?? []).filter((flag) => below(flag.entity))
  if (flags.length === 0) return nothing
  if (folded) return html`<p class="flagged">${counted(flags.length, 'flag')}</p>`
  return html`<ul class="flags">${flags.map((flag) => html`<li>${flagText(flag, margin)}</li>`)}</ul>`
}

/** Flag for everybody on others' notes, hide for moderators; or the form that asks for the reason. */
export function verbs (entity: string, mine: boolean, margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const moderates = margin.told !== null
  return html`
    ${mine || !entity.includes('/') ? nothing : html`<button type="button" @click=${() => actions.startEdit(`flag ${entity}`)}>Flag</button>`}
    ${moderates ? html`<button type="button" @click=${() => actions.startEdit(`hide ${entity}`)}>${entity.includes('/') ? 'Hide' : 'Hide thread'}</button>` : nothing}`
}

/** Close and reopen a thread, for moderators. */
export function closing (thread: string, closed: boolean, margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  if (margin.told === null) return nothing
  return closed
    ? html`<button type="button" @click=${() => actions.startEdit(`reopen ${thread}`)}>Reopen to replies</button>`
    : html`<button type="button" @click=${() => actions.startEdit(`close ${thread}`)}>Close to replies</button>`
}

/** Where a thread takes no replies: that it is so, and to moderators why. */
export function closedView (thread: string, told: Told | null): TemplateResult {
  const reason = told?.closed.find(({ entity }) => entity === thread || entity === 'page')?.reason ?? ''
  return html`<p class="settled">Closed by a moderator${reason === '' ? '' : `: ${reason}`}</p>`
}

/** The form for a reason, where one of these verbs was chosen for this note. */
export function reasonForm (entity: string, asks: string[], margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const [action = '', name] = (margin.editing ?? '').split(' ')
  if (name !== entity || !asks.includes(action) || REASONS[action] === undefined) return nothing
  const send = (reason: string): void => actions.moderate(action as Action, entity, reason)
  const leave = (): void => actions.startEdit(null)
  return html`<div data-ask>${form(`${action} ${entity}`, REASONS[action], send, leave, '', 500, OPTIONAL.has(action))}</div>`
}

function flagText ({ user, at, reason }: Flag, margin: Margin): TemplateResult {
  return html`<span class="mark">Flag</span> ${margin.nameOf(user)}, ${ago(at, margin.now)}: ${why(reason)}`
}

function why (reason: string): TemplateResult {
  return html`<span class="why">${reason === '' ? 'no reason given' : reason}</span>`
}

function shortened (words: string): string {
  const letters = Array.from(words)
  return letters.length <= 40 ? words : `${letters.slice(0, 39).join('')}…`
}

const threadOf = (entity: string): string => entity.split('/')[0]!
const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
