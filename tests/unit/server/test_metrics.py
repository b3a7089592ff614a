"""Each thing that is counted shows up at the scrape, and no label can be chosen by a peer."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from crdt_chat.server.process.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def scraped(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        sample.name.removeprefix("crdt_chat_")
        + "".join(f"|{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_traffic_counts_frames_and_bytes_each_way(metrics):
    metrics.traffic.received(10)
    metrics.traffic.sent(100, frames=3)
    seen = scraped(metrics)
    assert seen["frames_total|direction=in"] == 1
    assert seen["bytes_total|direction=in"] == 10
    assert seen["frames_total|direction=out"] == 3
    assert seen["bytes_total|direction=out"] == 300


def test_connections_go_up_and_down_and_closes_keep_their_code(metrics):
    metrics.connected("yjs")
    metrics.connected("yjs")
    metrics.connected("legacy")
    metrics.disconnected("yjs", 4400)
    metrics.disconnected("legacy")
    seen = scraped(metrics)
    assert seen["connections|channel=yjs"] == 1
    assert seen["connections|channel=legacy"] == 0
    assert seen["closes_total|code=4400"] == 1


def test_admission_counts_outcomes_rules_and_time(metrics):
    metrics.judged("accepted", 20e-6, operations=2)
    metrics.judged("refused", 2e-3, operations=1, rules=["owner", "owner", "size"])
    seen = scraped(metrics)
    assert seen["updates_total|outcome=refused"] == 1
    assert seen["operations_total"] == 3
    assert seen["refusals_total|rule=owner"] == 2
    assert seen["admission_seconds_bucket|le=2.5e-05"] == 1
    assert seen["admission_seconds_count"] == 2


def test_commits_count_batches_time_and_failures(metrics):
    metrics.committed(3, 0.004)
    metrics.commit_failed()
    metrics.queued(7)
    metrics.page_rebuilt()
    metrics.event_written("new-text-chat", 2)
    seen = scraped(metrics)
    assert seen["commit_updates_sum"] == 3
    assert seen["commit_seconds_bucket|le=0.005"] == 1
    assert seen["commit_failures_total"] == 1
    assert seen["commit_queue_updates"] == 7
    assert seen["page_rebuilds_total"] == 1
    assert seen["events_total|type=new-text-chat"] == 2


def test_presence_and_lagging(metrics):
    metrics.users_changed(2)
    metrics.users_changed(-1)
    metrics.pages_changed(1)
    metrics.follow_lagging(lambda: 2)
    metrics.traffic.lags += 3
    metrics.awareness(forwarded=4, dropped=1)
    seen = scraped(metrics)
    assert seen["users"] == 1
    assert seen["pages_open"] == 1
    assert seen["connections_lagging"] == 2
    assert seen["lags_total"] == 3
    assert seen["awareness_changes_total|outcome=forwarded"] == 4
    assert seen["awareness_changes_total|outcome=dropped"] == 1


def test_two_servers_in_one_process_stay_apart(metrics):
    other = Metrics("4.5.6")
    other.pages_changed(5)
    assert scraped(metrics)["pages_open"] == 0
    assert scraped(metrics)["build|version=1.2.3"] == 1
