//! What users of such tools report, and the kinds of faults behind it.

use super::Requirement;

pub(super) const REPORTED: &[Requirement] = &[
    (
        "P1",
        "a copy is not begun again by a restart",
        &[
            "program/copies/random::a_copy_that_is_killed_goes_on_in_the_middle_of_its_table_mariadb",
            "program/copies/random::a_copy_that_is_killed_goes_on_in_the_middle_of_its_table_mysql",
            "program/copies/histories::random_copies_with_kills_end_equal_mariadb",
            "program/copies/histories::random_copies_with_kills_end_equal_mysql",
        ],
    ),
    (
        "P2",
        "no place is stored before everything up to it is durable",
        &[
            "program/kill_and_restart::a_run_killed_ten_times_writes_the_same_files",
            "program/kill_and_restart::a_kill_before_the_first_checkpoint_loses_nothing_since_the_first_start",
            "kafka_sink/with_kafka/exactly_once::a_program_killed_ten_times_delivers_every_change_once",
            "kafka_sink/with_kafka/exactly_once::a_broker_that_is_killed_gets_every_change_once",
            "main_job/main::every_change_once_in_order_by_the_version_in_force_through_ten_swaps_and_ten_kills",
            "file-sink/src/tests::any_run_of_writes_checkpoints_and_crashes_delivers_exactly_once",
        ],
    ),
    (
        "P3",
        "a restart inside a transaction goes on at the next row",
        &[
            "mysql_source/resume::a_restart_at_any_row_of_a_transaction_loses_and_repeats_nothing_mariadb",
            "mysql_source/resume::a_restart_at_any_row_of_a_transaction_loses_and_repeats_nothing_mysql",
            "mysql_source/resume::file_and_position_resume_as_exactly_as_gtids",
            "program/binlog/transactions::kills_inside_a_transaction_lose_and_repeat_nothing_without_gtids",
        ],
    ),
    (
        "P4",
        "a place that the server has purged is told with the gap, and tables are copied anew by policy",
        &[
            "mysql_source/precheck::a_purged_position_names_the_gap",
            "program/copies/cases::d12_a_sink_whose_place_is_purged_gets_a_truncate_and_the_rows_anew_mariadb",
            "program/copies/cases::d12_a_sink_whose_place_is_purged_gets_a_truncate_and_the_rows_anew_mysql",
            "program/binlog/lost_log::a_purged_log_leaves_the_files_as_they_are",
            "program/binlog/lost_log::a_healthy_log_is_not_refused_mariadb",
            "program/binlog/lost_log::a_healthy_log_is_not_refused_mysql",
        ],
    ),
    (
        "P5",
        "a connection that has gone silent is noticed",
        &[
            "mysql_source/resume::a_server_that_falls_silent_is_noticed_and_found_again",
            "mysql_source/resume::a_killed_dump_connection_comes_back_where_it_was",
            "service/readiness::idle_streaming_stalled_and_down_are_told_apart",
        ],
    ),
    (
        "P6",
        "a statement that is not understood never stops a pipeline whose tables it does not touch",
        &[
            "program/binlog/statements::statements_that_reach_no_captured_table_do_no_harm",
            "program/binlog/statements::a_schema_change_is_followed_however_it_is_written",
            "mysql/src/statement/tests::where_the_tables_cannot_be_told_every_table_that_may_be_meant_is_touched",
            "mysql/src/statement/tests::any_text_is_classified",
            "mysql/src/definition/tests::what_is_not_sure_is_not_known",
        ],
    ),
    (
        "P7",
        "the known schema and the log do not contradict each other for good",
        &[
            "program/binlog/evolution::rows_between_changes_that_nobody_saw_are_read_with_the_schema_of_their_time",
            "program/binlog/evolution::random_changes_are_followed_and_end_in_the_catalogues_schema",
            "program/binlog/schemas::a_change_that_was_not_logged_is_noticed_where_the_rows_contradict_what_is_known",
            "program/binlog/schemas::the_ways_on_that_the_error_names_lead_on",
        ],
    ),
    (
        "P8",
        "schema changes while nobody reads",
        &[
            "program/binlog/schemas::rows_from_before_a_schema_change_are_read_with_the_schema_of_their_time",
            "program/binlog/schemas::a_sink_that_lags_behind_several_changes_gets_each_row_with_the_schema_of_its_time",
        ],
    ),
    (
        "P9",
        "versions of schemas that no sink needs are forgotten, and equal ones stored once",
        &[
            "mysql/src/history/tests::what_is_kept_is_pruned_to_the_version_that_holds_and_those_behind_it",
            "mysql/src/capturing/kept::versions_that_no_sink_goes_back_to_are_forgotten",
            "state/src/schemas::equal_schemas_and_places_are_stored_once_and_go_with_their_last_version",
        ],
    ),
    (
        "P10",
        "a large transaction is streamed, also a compressed one in little memory",
        &[
            "mysql_source/compressed::a_compressed_transaction_is_streamed_in_little_memory_and_survives_kills",
            "program/binlog/taken_back::large_transactions_are_streamed_without_what_was_taken_back",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mariadb",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mysql",
        ],
    ),
    (
        "P11",
        "memory is bounded on every path, and by the limit of the container",
        &[
            "program/memory::a_hostile_plugin_and_a_slow_sink_cannot_take_the_host_beyond_its_budget",
            "program/memory::a_row_larger_than_the_budget_passes_alone",
            "program/memory::plugins_that_leave_no_memory_for_a_batch_are_refused_at_the_start",
            "pipeline/src/memory/found::version_2_counts_with_the_groups_above",
            "pipeline/src/memory/found::a_container_sees_its_own_group_at_the_mount",
            "model/src/budget/tests::permits_follow_the_model_and_never_deadlock",
        ],
    ),
    (
        "P12",
        "a record that is too large for Kafka stops the sink, or is set aside whole, or skipped and counted",
        &[
            "kafka_sink/with_kafka/failures::a_refused_record_goes_to_the_dead_letters_and_its_neighbours_are_delivered",
            "kafka_sink/with_kafka/failures::a_record_larger_than_the_client_takes_goes_to_the_dead_letters_at_once",
            "kafka_sink/with_kafka/failures::by_default_a_refused_record_stops_the_sink",
            "kafka_sink/with_kafka/whole::an_update_of_the_key_that_is_too_large_for_the_client_is_set_aside_whole",
            "kafka_sink/with_kafka/whole::an_update_of_the_key_that_the_broker_refuses_is_set_aside_whole",
            "kafka_sink/with_kafka/whole::a_delete_that_the_broker_refuses_leaves_no_tombstone_behind",
            "kafka_sink/with_kafka/exactly_once::a_refused_record_is_set_aside_and_its_neighbours_are_delivered_once",
        ],
    ),
    (
        "P13",
        "changes that are logged as statements",
        &[
            "mysql_source/precheck::every_fault_of_the_server_is_listed_with_its_remedy",
            "program/binlog/statements::a_change_that_is_logged_as_a_statement_stops_the_stream_by_default",
            "program/binlog/statements::by_policy_a_change_that_is_logged_as_a_statement_is_warned_of_and_counted",
            "program/binlog/statements::statements_that_reach_no_captured_table_do_no_harm",
        ],
    ),
    (
        "P14",
        "updates of parts of JSON documents",
        &[
            "mysql_source/borders::partial_json_updates_are_made_whole",
            "mysql_source/precheck::partial_json_without_whole_rows_is_refused_before_anything_runs",
            "mysql/src/partial_json::the_servers_own_diffs_give_the_servers_own_document",
        ],
    ),
    (
        "P15",
        "a value is the same, byte for byte, whether it was copied or read from the log",
        &[
            "mysql_source/values::values_that_are_copied_are_those_of_the_log_on_mariadb",
            "mysql_source/values::values_that_are_copied_are_those_of_the_log_on_mysql",
        ],
    ),
    (
        "P16",
        "numbers are exact",
        &[
            "mysql_source/values::every_type_of_mariadb_is_what_select_says",
            "mysql_source/values::every_type_of_mysql_is_what_select_says",
            "mysql_source/borders::border_values_of_mariadb_are_what_select_says",
            "mysql_source/borders::border_values_of_mysql_are_what_select_says",
            "program/binlog/formats::values_in_every_mode_are_what_mariadb_says",
            "program/binlog/formats::values_in_every_mode_are_what_mysql_says",
        ],
    ),
    (
        "P17",
        "tables that gh-ost and pt-online-schema-change rewrite are followed through the exchange of their names",
        &[
            "program/binlog/evolution::rows_between_changes_that_nobody_saw_are_read_with_the_schema_of_their_time",
            "program/binlog/statements::a_schema_change_is_followed_however_it_is_written",
            "mysql_source/internal::k6_p17_helper_tables_of_online_schema_changes_are_not_delivered",
        ],
    ),
    (
        "P18",
        "tables are added to a running pipeline, with or without their rows",
        &[
            "program/copies/live::p18_b5_tables_are_added_removed_and_copied_anew_while_the_others_stream_mariadb",
            "program/copies/live::p18_b5_tables_are_added_removed_and_copied_anew_while_the_others_stream_mysql",
            "program/copies/live::random_edits_requests_and_kills_end_with_what_the_server_has_mariadb",
            "program/copies/live::random_edits_requests_and_kills_end_with_what_the_server_has_mysql",
        ],
    ),
    (
        "P23",
        "the place moves although nothing that is captured changes",
        &[
            "mysql_source/resume::the_position_moves_when_only_uncaptured_tables_change",
            "program/connect/pace::c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written",
        ],
    ),
    (
        "P26",
        "a crash inside a transaction that was delivered in part loses none of its rows",
        &[
            "mysql_source/resume::a_restart_at_any_row_of_a_transaction_loses_and_repeats_nothing_mariadb",
            "mysql_source/resume::a_restart_at_any_row_of_a_transaction_loses_and_repeats_nothing_mysql",
            "mysql_source/compressed::a_restart_at_any_row_of_a_compressed_transaction_loses_and_repeats_nothing",
            "program/binlog/transactions::kills_inside_a_transaction_lose_and_repeat_nothing_mariadb",
            "program/binlog/transactions::kills_inside_a_transaction_lose_and_repeat_nothing_mysql",
        ],
    ),
    (
        "P27",
        "rows of tables without transactions and of XA transactions come",
        &[
            "mysql_source/resume::rows_without_transactions_and_rows_of_xa_come_out",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mariadb",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mysql",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mysql_without_gtids",
        ],
    ),
    (
        "P28",
        "GTID sets, also with tags, are stored, and are what counts",
        &[
            "mysql_source/resume::tagged_gtids_are_kept_and_resumed_from",
            "program/binlog/failover::a_failover_inside_a_transaction_loses_nothing_and_repeats_only_tables_without_a_key_mariadb",
            "program/binlog/failover::a_failover_inside_a_transaction_loses_nothing_and_repeats_only_tables_without_a_key_mysql",
            "mysql/src/gtid/tests::a_tagged_set_is_read_and_requested",
            "mysql/src/gtid/tests::the_binary_form_tells_the_same_set_as_the_text",
        ],
    ),
    (
        "P30",
        "every type is exact, whatever is inside of it",
        &[
            "mysql_source/values::every_type_of_mariadb_is_what_select_says",
            "mysql_source/values::every_type_of_mysql_is_what_select_says",
            "mysql_source/values::sql_values_inside_a_json_document_are_what_select_says",
            "mysql_source/borders::border_values_of_mariadb_are_what_select_says",
            "mysql_source/borders::border_values_of_mysql_are_what_select_says",
            "mysql_source/borders::values_in_the_temporal_formats_of_old_mariadb_are_what_select_says",
            "mysql_source/charsets::every_character_of_mariadbs_character_sets_is_what_select_says",
            "mysql_source/charsets::every_character_of_mysqls_character_sets_is_what_select_says",
        ],
    ),
    (
        "P31",
        "old rows are read with the schema of their time, or refused",
        &[
            "mysql_source/values::old_rows_are_never_read_with_a_new_schema",
            "program/binlog/schemas::rows_from_before_a_schema_change_are_read_with_the_schema_of_their_time",
            "program/binlog/schemas::what_the_log_of_mariadb_never_tells_is_not_guessed_either",
            "program/binlog/vanished::a_table_that_was_dropped_while_nobody_read_is_emptied_and_one_that_never_was_there_is_not_told",
        ],
    ),
    (
        "P32",
        "compressed columns and versioned tables of MariaDB come",
        &[
            "mysql_source/internal::versioned_tables_are_what_select_shows_without_their_history",
            "mysql_source/values::mariadbs_own_types_and_versioned_tables_come_through",
            "mysql_source/borders::border_values_of_mariadb_are_what_select_says",
        ],
    ),
];

pub(super) const KINDS: &[Requirement] = &[
    (
        "K1",
        "rows that the server took back are not delivered",
        &[
            "program/binlog/taken_back::no_row_that_was_taken_back_is_delivered_mariadb",
            "program/binlog/taken_back::no_row_that_was_taken_back_is_delivered_when_each_transaction_is_larger_than_a_batch_mariadb",
            "program/binlog/taken_back::no_row_that_was_taken_back_is_delivered_mysql",
            "program/binlog/taken_back::no_row_that_was_taken_back_is_delivered_mysql_without_gtids",
            "program/binlog/taken_back::random_transactions_end_as_the_server_has_them_mariadb",
            "program/binlog/taken_back::random_transactions_end_as_the_server_has_them_mysql",
            "program/binlog/taken_back::large_transactions_are_streamed_without_what_was_taken_back",
            "program/binlog/taken_back::kills_inside_transactions_that_were_taken_back_in_part_lose_and_repeat_nothing",
            "program/binlog/taken_back::a_transaction_that_a_killed_mariadb_left_without_an_end_is_not_delivered",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mariadb",
            "program/binlog/taken_back/xa::rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mysql",
        ],
    ),
    (
        "K2",
        "old rows under a schema that is not theirs",
        &[
            "program/binlog/schemas::rows_from_before_a_schema_change_are_read_with_the_schema_of_their_time",
            "program/binlog/schemas::what_the_log_of_mariadb_never_tells_is_not_guessed_either",
            "program/binlog/schemas::a_sink_that_lags_behind_several_changes_gets_each_row_with_the_schema_of_its_time",
            "program/binlog/schemas::the_ways_on_that_the_error_names_lead_on",
            "program/binlog/evolution::rows_between_changes_that_nobody_saw_are_read_with_the_schema_of_their_time",
            "mysql/src/history/tests::no_row_is_read_with_a_schema_that_is_not_its_own",
        ],
    ),
    (
        "K3",
        "schema changes in disguise",
        &[
            "program/binlog/statements::a_schema_change_is_followed_however_it_is_written",
            "program/binlog/evolution::rows_between_changes_that_nobody_saw_are_read_with_the_schema_of_their_time",
            "program/binlog/evolution::an_alter_that_mariadb_logs_twice_counts_when_it_is_done",
            "program/binlog/evolution::random_changes_are_followed_and_end_in_the_catalogues_schema",
            "mysql/src/statement/tests::no_disguise_hides_a_schema_change",
        ],
    ),
    (
        "K4",
        "changes of rows that are logged as statements",
        &[
            "program/binlog/statements::a_change_that_is_logged_as_a_statement_is_noticed_however_it_is_written",
            "program/binlog/statements::a_change_that_is_logged_as_a_statement_stops_the_stream_by_default",
            "program/binlog/statements::by_policy_a_change_that_is_logged_as_a_statement_is_warned_of_and_counted",
            "program/binlog/statements::statements_that_reach_no_captured_table_do_no_harm",
            "program/copies/unlogged::case_04_tables_that_statements_change_are_copied_anew_mariadb",
            "program/copies/unlogged::case_04_tables_that_statements_change_are_copied_anew_mysql",
            "program/connect/checks::check_names_sessions_that_do_not_log_rows",
        ],
    ),
    (
        "K5",
        "rows that go with a schema change",
        &[
            "program/binlog/statements::rows_that_a_schema_change_removes_are_told_of_in_their_place",
            "program/binlog/statements::by_policy_a_schema_change_that_removes_rows_without_naming_them_stops_the_stream",
            "program/binlog/statements::types_that_may_have_changed_values_of_rows_are_told_of_and_others_are_not",
            "program/binlog/truncate::a_truncate_is_one_record_in_its_place_in_both_formats_and_is_not_repeated",
            "program/binlog/truncate::a_truncate_is_one_record_without_a_key_behind_everything_before_it",
            "program/binlog/vanished::a_table_that_was_dropped_while_nobody_read_is_emptied_and_one_that_never_was_there_is_not_told",
            "program/copies/unlogged::case_08_tables_whose_rows_go_with_ddl_are_copied_anew_mariadb",
            "program/copies/unlogged::case_08_tables_whose_rows_go_with_ddl_are_copied_anew_mysql",
        ],
    ),
    (
        "K6",
        "sequences, views, hidden columns, history and helper tables of online schema changes are no rows",
        &[
            "mysql_source/internal::sequences_are_no_rows_and_stop_nothing",
            "mysql_source/internal::a_sequence_whose_name_a_table_of_other_columns_has_today_is_no_table",
            "mysql_source/internal::the_columns_of_hash_indexes_are_not_delivered",
            "mysql_source/internal::versioned_tables_are_what_select_shows_without_their_history",
            "mysql_source/internal::history_and_hidden_columns_stay_out_of_rows_that_are_logged_in_part",
            "mysql_source/internal::hidden_columns_of_mysql_are_not_logged_and_those_that_can_be_asked_for_are_delivered",
            "program/binlog/vanished::a_table_that_is_shaped_like_a_sequence_is_read_and_a_sequence_is_not_when_both_are_gone",
            "program/binlog/vanished::history_of_versioned_rows_is_not_delivered_when_the_table_is_gone",
            "program/binlog/documented::check_says_which_sequences_it_leaves_out",
            "mysql_source/internal::k6_p17_helper_tables_of_online_schema_changes_are_not_delivered",
        ],
    ),
    (
        "K7",
        "text that differs from the server's own",
        &[
            "mysql_source/borders::border_values_of_mariadb_are_what_select_says",
            "mysql_source/borders::border_values_of_mysql_are_what_select_says",
            "mysql_source/charsets::every_character_of_mariadbs_character_sets_is_what_select_says",
            "mysql_source/charsets::every_character_of_mysqls_character_sets_is_what_select_says",
            "mysql_source/charsets::labels_and_short_texts_in_any_character_set_are_what_select_says",
            "program/binlog/documented::the_type_table_of_the_documentation_holds_on_mariadb",
            "program/binlog/documented::the_type_table_of_the_documentation_holds_on_mysql",
            "program/binlog/schemas::labels_that_the_catalogue_cannot_show_are_read_as_they_are",
        ],
    ),
    (
        "K8",
        "generated and invisible columns, keys of every kind, names of every kind, and names without case",
        &[
            "mysql_source/internal::hidden_columns_of_mysql_are_not_logged_and_those_that_can_be_asked_for_are_delivered",
            "program/copies/keys::every_row_is_copied_once_whatever_its_key_mariadb",
            "program/copies/keys::every_row_is_copied_once_whatever_its_key_mysql",
            "program/copies/cases::tables_that_cannot_be_copied_are_named_with_what_to_do",
            "kafka_sink/with_kafka/keys::check_and_run_take_the_same_for_a_key_and_both_tell_of_entries_that_are_for_no_table",
            "program/binlog/statements::a_schema_change_is_followed_however_it_is_written",
            "program/rules/check::names_of_tables_have_no_case_where_the_server_does_not_tell_them_apart",
            "program/connect/checks::tables_that_differ_in_case_or_accents_only_are_planned_once_each",
        ],
    ),
];
