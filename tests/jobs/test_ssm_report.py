import json

from rlvm.jobs import ssm_report

MODEL = {"dataset": "row_mnist", "model": "ssm", "config": {"model": {"conditioning": "full"}}}
DIGITS = {
    **MODEL,
    "step": 24000,
    "num_samples": 10000,
    "classes_kl_nats": 0.00887,
    "classes_kl_nats_of_test": 0.00189,
    "classifier_test_accuracy": 0.9927,
}
GAP = {
    **MODEL,
    "bound_nats": -82.77,
    "importance_nats": -81.5,
    "particle_filter_nats": -80.75,
    "guided_filter_nats": -80.7,
    "log_p_minus_elbo_nats": 2.07,
    "refit_bound_nats": -81.0,
    "refit_difference_nats": 1.77,
}


def cells(table):
    return [cell.strip() for cell in table.splitlines()[2].split("|")[1:-1]]


def test_digits_and_gaps_have_tables_where_their_files_are(tmp_path):
    results = str(tmp_path / "results.jsonl")
    assert ssm_report.tables(results) == []
    (tmp_path / "gaps.jsonl").write_text(json.dumps(GAP) + "\n")
    (gaps,) = ssm_report.tables(results)
    (tmp_path / "digits.jsonl").write_text(json.dumps(DIGITS) + "\n")
    digits, again = ssm_report.tables(results)
    assert again == gaps
    assert cells(digits) == [
        *["row_mnist", "SSM, full", "24,000", "0.0089, n = 10,000", "0.0019", "99.27%"],
    ]
    assert cells(gaps) == [
        *["row_mnist", "SSM, full", "-82.77", "-81.50", "-80.75", "-80.70"],
        *["2.07", "-81.00", "+1.77"],
    ]
