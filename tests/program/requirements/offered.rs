//! What comparable tools offer for MySQL.

use super::Requirement;

pub(super) const OFFERED: &[Requirement] = &[
    (
        "C1",
        "tables without a key are named before anything runs, are delivered by policy, and can be copied",
        &[
            "mysql_source/precheck::tables_without_a_key_are_named_before_anything_runs",
            "kafka_sink/with_kafka/delivery::tables_without_a_key_follow_the_policy",
            "kafka_sink/with_kafka/meeting::check_foresees_topics_that_meet_and_tables_without_a_key",
            "program/copies/keyless::the_first_copy_of_a_quiet_table_without_a_key_has_each_row_once",
        ],
    ),
    (
        "C2",
        "thousands of tables are checked, captured and streamed in little memory",
        &[
            "program/connect/many::c2_thousands_of_tables_of_mariadb_are_captured",
            "program/connect/many::c2_thousands_of_tables_of_mysql_are_captured",
        ],
    ),
    (
        "C3",
        "a binlog that does not hold whole rows is refused",
        &[
            "mysql_source/precheck::every_fault_of_the_server_is_listed_with_its_remedy",
            "mysql_source/resume::changes_that_cannot_be_followed_stop_the_stream_by_name",
        ],
    ),
    (
        "C4",
        "a binlog that does not hold rows is refused",
        &[
            "mysql_source/precheck::every_fault_of_the_server_is_listed_with_its_remedy",
            "mysql_source/resume::changes_that_cannot_be_followed_stop_the_stream_by_name",
        ],
    ),
    (
        "C6",
        "a server that keeps its log for less than a week is told of, and so is a place that it may remove soon",
        &["program/connect/margin::c6_a_place_that_the_server_may_remove_soon_is_told_of_before_it_is_lost"],
    ),
    (
        "C7",
        "schema changes while tables are copied",
        &[
            "program/copies/cases::d5_a_table_that_is_altered_or_emptied_is_copied_as_it_is_then_mariadb",
            "program/copies/cases::d5_a_table_that_is_altered_or_emptied_is_copied_as_it_is_then_mysql",
            "program/copies/cases::a_table_that_gets_another_key_is_copied_from_its_beginning_mariadb",
            "program/copies/cases::a_table_that_gets_another_key_is_copied_from_its_beginning_mysql",
        ],
    ),
    (
        "C8",
        "a bound on the size of a row and of a record, and a policy for what is larger",
        &[
            "mysql_source/compressed::an_event_in_a_compressed_transaction_that_is_too_large_is_told_with_what_to_raise",
            "program/binlog/unreadable::rows_before_one_that_cannot_be_read_are_delivered_and_the_next_start_stops_at_the_same_place",
            "kafka_sink/with_kafka/failures::a_record_larger_than_the_client_takes_goes_to_the_dead_letters_at_once",
            "kafka_sink/with_kafka/failures::by_default_a_refused_record_stops_the_sink",
        ],
    ),
    (
        "C9",
        "a column that is called like a field of the format is told before anything runs",
        &[
            "program/binlog/formats::check_finds_a_column_that_is_called_like_a_field_of_the_format",
            "format/src/tests/formats::a_column_that_is_called_like_a_field_of_the_format_is_refused_before_the_first_row",
        ],
    ),
    (
        "C12",
        "tables whose rows a foreign key changes are named, or their changes delivered where they are logged; statements that reach them are noticed",
        &[
            "mysql_source/precheck::c12_rows_that_a_foreign_key_changes_are_delivered_where_the_server_logs_them",
            "program/rules/check::foreign_keys_whose_changes_the_server_logs_are_no_warning",
            "program/rules/check::the_effective_configuration_is_shown_table_by_table",
            "program/binlog/statements::a_change_that_is_logged_as_a_statement_is_noticed_however_it_is_written",
        ],
    ),
    (
        "C13",
        "another server goes on for the first one",
        &[
            "program/connect/hosts::the_next_server_goes_on_once_it_has_what_was_read_mariadb",
            "program/connect/hosts::the_next_server_goes_on_once_it_has_what_was_read_mysql",
            "program/binlog/failover::a_failover_inside_a_transaction_loses_nothing_and_repeats_only_tables_without_a_key_mariadb",
            "program/binlog/failover::a_failover_inside_a_transaction_loses_nothing_and_repeats_only_tables_without_a_key_mysql",
            "program/binlog/schemas::another_server_goes_on_with_the_versions_of_the_first",
            "program/copies/histories::d2_a_failover_in_the_middle_of_a_copy_ends_equal_mariadb",
            "program/copies/histories::d2_a_failover_in_the_middle_of_a_copy_ends_equal_mysql",
        ],
    ),
    (
        "C14",
        "the lag of an idle server is 0",
        &[
            "mysql_source/resume::heartbeats_keep_an_idle_connection_alive_and_lag_falls_to_zero",
            "program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written",
        ],
    ),
    (
        "C15",
        "a heartbeat row, if it is asked for",
        &["program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written"],
    ),
    (
        "C16",
        "a statement that moves the log, if it is asked for",
        &["program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written"],
    ),
    ("C17", "a server without a binlog is refused", &["mysql_source/precheck::a_binlog_that_is_off_is_found"]),
    (
        "C18",
        "several outputs of one source, each from its own place on; a source that gathers several servers",
        &[
            "program/binlog/sinks::an_added_sink_begins_where_its_start_says_and_without_one_it_is_a_question",
            "program/copies/cases::a_sink_that_is_added_with_a_copy_gets_all_rows_and_the_others_none_mariadb",
            "program/copies/cases::a_sink_that_is_added_with_a_copy_gets_all_rows_and_the_others_none_mysql",
            "program/apart/servers::an_output_that_went_apart_from_mariadb_catches_up_exactly",
            "program/apart/servers::an_output_that_went_apart_from_mysql_catches_up_exactly",
            "program/apart/lanes::an_output_is_paused_and_goes_on_where_it_was",
            "program/apart/edits::outputs_come_and_go_while_mariadb_is_read",
            "program/apart/edits::outputs_come_and_go_while_mysql_is_read",
            "program/apart/edits::an_output_is_begun_at_another_place",
            "program/connect/kinds::a_replica_of_several_primaries_gives_the_changes_of_all_mariadb",
            "program/connect/kinds::a_replica_of_several_primaries_gives_the_changes_of_all_mysql",
        ],
    ),
    (
        "C19",
        "inserts, updates, deletes, and schema changes with ADD COLUMN",
        &[
            "program/binlog/formats::every_format_tells_of_inserts_updates_and_deletes",
            "program/binlog/schema_changes::each_statement_is_told_once_in_its_place_and_others_are_not",
            "program/binlog/evolution::rows_between_changes_that_nobody_saw_are_read_with_the_schema_of_their_time",
            "program/apart/servers::an_output_that_went_apart_from_mariadb_catches_up_exactly",
            "program/apart/servers::an_output_that_went_apart_from_mysql_catches_up_exactly",
        ],
    ),
    (
        "C20",
        "a name of the pipeline, in its numbers and its log",
        &[
            "program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written",
            "program/cli::sigterm_and_ctrl_c_drain_and_end_with_0",
        ],
    ),
    (
        "C21",
        "an account with a password that is never shown, and grants that are missing named",
        &[
            "mysql_source/precheck::a_wrong_password_is_refused_without_showing_it",
            "mysql_source/precheck::every_fault_of_the_server_is_listed_with_its_remedy",
            "mysql_source/precheck::c21_an_account_without_select_is_told_before_anything_runs",
            "mysql_source/start::a_refused_login_and_a_missing_grant_end_a_run_with_3_at_once",
            "program/connect/accounts::a_password_that_is_renewed_in_its_file_is_used_for_the_next_connection",
            "program/cli::secrets_stay_hidden_at_every_log_level",
        ],
    ),
    (
        "C22",
        "connections with and without TLS",
        &[
            "program/connect/tls::each_tls_mode_checks_what_it_says_also_on_the_connection_that_reads_the_log",
            "program/connect/tls::the_certificate_that_mysql_makes_for_itself_is_taken_with_its_own_authority_and_no_other",
            "program/connect/tls::tls_that_is_preferred_does_without_where_the_server_has_none",
        ],
    ),
    (
        "C24",
        "the connection is tried before anything runs",
        &[
            "mysql_source/precheck::an_unreachable_server_is_an_error_at_once",
            "mysql_source/start::a_server_that_stays_away_ends_a_run_with_1_and_a_check_with_3",
            "program/connect/hosts::check_warns_of_servers_that_could_not_take_over",
            "program/connect/documented::what_the_page_says_leads_from_an_untouched_mysql_to_records",
            "program/connect/documented::what_the_page_says_leads_from_a_mariadb_with_a_binlog_to_records",
        ],
    ),
    (
        "C26",
        "a first copy, the changes, or both",
        &[
            "mysql_source/resume::a_start_can_be_named_by_file_by_gtids_and_as_the_earliest",
            "program/copies/keys::every_row_is_copied_once_whatever_its_key_mariadb",
            "program/copies/keys::every_row_is_copied_once_whatever_its_key_mysql",
            "program/copies/random::a_table_that_changes_all_through_its_copy_ends_equal_mariadb",
            "program/copies/random::a_table_that_changes_all_through_its_copy_ends_equal_mysql",
        ],
    ),
    (
        "C27",
        "a rule for the names of added columns, with a clash told before anything runs",
        &[
            "program/binlog/formats::every_format_tells_of_inserts_updates_and_deletes",
            "program/binlog/formats::check_finds_a_column_that_is_called_like_a_field_of_the_format",
            "format/src/tests/formats::dts_writes_the_documented_rows_under_both_rules",
            "format/src/tests/formats::a_column_that_is_called_like_a_field_of_the_format_is_refused_before_the_first_row",
        ],
    ),
    (
        "C28",
        "what is done with topics that exist, or do not",
        &[
            "kafka_sink/with_kafka/topics::c28_topics_are_made_with_their_settings_and_those_that_exist_stay_as_they_are",
            "kafka_sink/with_kafka/topics::c28_a_topic_that_must_exist_is_never_made_and_stops_the_pipeline_before_its_first_record",
            "kafka_sink/with_kafka/topics::c28_check_tells_of_topics_that_have_to_be_there_and_of_those_that_are_otherwise",
            "kafka_sink/with_kafka/keys::c28_c34_c41_a_pipeline_file_chooses_topics_partitions_and_headers",
        ],
    ),
    (
        "C29",
        "capitals and small letters of delivered names",
        &[
            "kafka_sink/with_kafka/keys::c28_c34_c41_a_pipeline_file_chooses_topics_partitions_and_headers",
            "kafka-sink/src/topic/tests::c29_names_that_become_the_same_in_another_case_do_not_share_a_topic",
            "file-sink/src/tests/paths::c29_names_of_folders_are_written_in_the_case_that_the_settings_say",
            "sink/src/route::c29_the_case_of_names_is_changed_and_nothing_else",
            "map-names/src/tests::the_case_policy_comes_last",
        ],
    ),
    (
        "C30",
        "tables are selected by name and by pattern",
        &[
            "mysql_source/precheck::names_that_match_no_table_are_warned_of_at_the_check",
            "program/rules/check::names_that_match_nothing_are_told_with_the_one_that_was_meant",
            "program/copies/live::p18_b5_tables_are_added_removed_and_copied_anew_while_the_others_stream_mariadb",
            "program/copies/live::p18_b5_tables_are_added_removed_and_copied_anew_while_the_others_stream_mysql",
            "table-pattern/tests/patterns::patterns_match_as_the_definition_says",
        ],
    ),
    (
        "C31",
        "databases, tables and columns get other names",
        &[
            "main_job/main::every_change_once_in_order_by_the_version_in_force_through_ten_swaps_and_ten_kills",
            "program/apart/servers::an_output_that_went_apart_from_mariadb_catches_up_exactly",
            "program/apart/servers::an_output_that_went_apart_from_mysql_catches_up_exactly",
            "map-names/src/tests::names_are_mapped_one_by_one_and_by_pattern",
        ],
    ),
    (
        "C32",
        "many names are changed by one rule",
        &[
            "map-names/src/tests::names_are_mapped_one_by_one_and_by_pattern",
            "program/rules/check::slips_in_patterns_conditions_and_exclusions_are_told_and_tables_that_are_refused_are_not_missed",
        ],
    ),
    (
        "C33",
        "rows are filtered by a condition, and a row that leaves it is deleted, one that enters it inserted",
        &[
            "program/rules/conditions::a_condition_keeps_the_rows_that_the_server_selects",
            "main_job/main::every_change_once_in_order_by_the_version_in_force_through_ten_swaps_and_ten_kills",
            "program/copies/throttles::only_rows_that_the_condition_selects_are_copied_and_all_changes_are_delivered",
            "plugin_host/partial::an_update_without_a_before_image_that_fails_the_filter_deletes_the_row_by_its_key",
            "plugin-host/src/verdict::a_sink_behind_a_filter_ends_with_the_rows_that_pass",
            "plugin-host/src/verdict::every_combination_has_its_verdict",
        ],
    ),
    (
        "C34",
        "columns that decide the partition of a record",
        &[
            "kafka_sink/with_kafka/keys::c34_a_records_partition_is_that_of_the_java_client_for_its_key_or_for_the_columns_that_decide_it",
            "kafka_sink/with_kafka/keys::c34_a_row_whose_shard_changes_leaves_its_partition_and_comes_to_the_other",
            "kafka_sink/with_kafka/keys::c34_all_records_go_to_one_partition_where_the_settings_say_so",
            "kafka_sink/with_kafka/keys::c28_c34_c41_a_pipeline_file_chooses_topics_partitions_and_headers",
        ],
    ),
    (
        "C37",
        "a connection that breaks is tried again for a time",
        &[
            "program/connect/again::c37_a_connection_is_tried_again_within_its_window_and_health_says_why",
            "mysql_source/start::a_server_that_is_down_at_the_start_is_waited_for",
        ],
    ),
    (
        "C38",
        "other failures that may pass are tried again for a shorter time",
        &["program/connect/again::c38_a_login_that_is_refused_meanwhile_is_tried_again_within_the_other_window_and_health_says_why"],
    ),
    (
        "C39",
        "bounds on the rows, bytes and queries a second of a copy",
        &["program/copies/throttles::c39_a_copy_keeps_to_its_rows_bytes_and_queries_a_second"],
    ),
    (
        "C40",
        "bounds on the rows and bytes a second of changes, and copies that spare a busy server",
        &[
            "program/connect/pace::c40_no_more_rows_a_second_are_read_than_the_settings_say",
            "program/connect/pace::c40_a_sink_takes_no_more_changes_a_second_than_its_settings_say_and_commits_meanwhile",
            "program/connect/pace::c40_a_sink_that_rests_is_drained_at_a_stop_without_a_pause",
            "program/copies/throttles::c40_a_copy_waits_while_many_threads_of_the_server_run_mariadb",
            "program/copies/throttles::c40_a_copy_waits_while_many_threads_of_the_server_run_mysql",
            "program/copies/throttles::c40_a_copy_waits_while_its_server_is_behind_as_a_replica_mariadb",
            "program/copies/throttles::c40_a_copy_waits_while_its_server_is_behind_as_a_replica_mysql",
        ],
    ),
    (
        "C41",
        "labels of a pipeline, on its numbers and its records",
        &[
            "program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written",
            "kafka_sink/with_kafka/keys::c41_headers_tell_of_the_change_and_of_the_pipelines_labels",
            "kafka_sink/with_kafka/keys::c28_c34_c41_a_pipeline_file_chooses_topics_partitions_and_headers",
        ],
    ),
    (
        "C42",
        "transformations are switched on, changed and off while rows flow",
        &[
            "program/swap/edit::an_edit_of_configuration_and_order_takes_over_between_two_batches",
            "program/hot_swap::an_idle_stream_swaps_at_once",
            "program/hot_swap::a_busy_stream_loses_repeats_and_mixes_nothing",
            "program/apart/servers::an_output_that_went_apart_from_mariadb_catches_up_exactly",
            "program/apart/servers::an_output_that_went_apart_from_mysql_catches_up_exactly",
        ],
    ),
    (
        "C43",
        "nothing is written to the server unless it is asked for",
        &["program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written"],
    ),
    (
        "C44",
        "a check tells each item with its remedy, as text or JSON, and a warning can be left out",
        &[
            "mysql_source/precheck::every_fault_of_the_server_is_listed_with_its_remedy",
            "program/rules/check::the_effective_configuration_is_shown_table_by_table",
            "program/rules/check::what_fails_for_several_tables_is_one_error_that_names_each",
            "program/connect/checks::check_names_sessions_that_do_not_log_rows",
            "program/connect/checks::check_says_who_holds_the_checkpoint",
            "program/cli::check_says_what_is_ready_and_delivers_nothing",
            "program/cli::check_works_while_the_pipeline_runs",
        ],
    ),
    (
        "C45",
        "what the configuration comes to is shown, table by table",
        &[
            "program/rules/check::the_effective_configuration_is_shown_table_by_table",
            "kafka_sink/with_kafka/meeting::check_foresees_topics_that_meet_and_tables_without_a_key",
        ],
    ),
    (
        "C47",
        "how far copies and stream are is told",
        &[
            "program/copies/throttles::c40_a_copy_waits_while_many_threads_of_the_server_run_mariadb",
            "program/copies/throttles::c40_a_copy_waits_while_many_threads_of_the_server_run_mysql",
            "program/cli::health_readiness_and_metrics_are_served_while_it_runs",
            "program/binlog/sinks::a_checkpoint_is_shown_and_what_would_lose_changes_is_refused",
            "service/live::the_line_shows_how_much_has_been_copied_and_how_long_it_takes",
        ],
    ),
    (
        "C48",
        "each change has a number that rises, which both records of an update share",
        &[
            "program/binlog/formats::every_format_tells_of_inserts_updates_and_deletes",
            "format/src/tests/formats::dts_writes_the_documented_rows_under_both_rules",
        ],
    ),
    (
        "C49",
        "a flag says what happened, or that the row was copied",
        &[
            "program/binlog/formats::every_format_tells_of_inserts_updates_and_deletes",
            "format/src/tests/formats::dts_writes_the_documented_rows_under_both_rules",
        ],
    ),
    ("C50", "server, database, table and time of a change", &["format/src/tests/formats::dts_writes_the_documented_rows_under_both_rules"]),
    (
        "C51",
        "an update is two records, with flags for the row before and after it",
        &[
            "program/binlog/formats::every_format_tells_of_inserts_updates_and_deletes",
            "kafka_sink/with_kafka/delivery::the_two_rows_of_a_dts_update_follow_each_other_under_one_key",
            "format/src/tests/formats::dts_writes_the_documented_rows_under_both_rules",
        ],
    ),
    (
        "C52",
        "both rules for the names of added columns",
        &[
            "format/src/tests/formats::dts_writes_the_documented_rows_under_both_rules",
            "program/binlog/formats::every_format_tells_of_inserts_updates_and_deletes",
            "program/binlog/formats::check_finds_a_column_that_is_called_like_a_field_of_the_format",
        ],
    ),
];
