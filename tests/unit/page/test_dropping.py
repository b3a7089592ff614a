"""What is dropped piece by piece is gone, and only that."""

from crdt_chat.page.dropping import consumed, empty


def test_items_are_given_last_first_and_are_out_of_the_list_by_then() -> None:
    items = [1, 2, 3]
    assert [(item, len(items)) for item in consumed(items)] == [(3, 2), (2, 1), (1, 0)]
    assert items == []


def test_groups_and_their_lists_are_empty_afterwards() -> None:
    run, groups, flat = [1, 2], {7: [3], 8: [4, 5]}, [6]
    groups[9] = run
    empty(groups, flat, [])
    assert (run, groups, flat) == ([], {}, [])
