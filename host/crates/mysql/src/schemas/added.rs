//! Tables that are captured from some place on: what their schemas are there.

use std::collections::BTreeSet;

use super::{
    super::{
        captured::Captured,
        connection::Server,
        history::Milestone,
        position::BinlogPosition,
        schema::Schema,
        stream::Halt,
        survey::{Spot, Survey},
    },
    Schemas,
};
use sluicegate_model::{
    Result,
    change::{Frontier, TableName},
    limits::SCHEMA_QUERIES,
};

impl Schemas {
    /// What the catalogue says of tables that are to be captured from `spot` on, where that is how they were there; else behind which
    /// later place it may be asked again.
    pub async fn look_at(
        &mut self,
        names: &[TableName],
        captured: &Captured,
        server: &Server,
        spot: &Spot,
    ) -> Result<std::result::Result<Vec<(TableName, Schema)>, Spot>, Halt> {
        if self.logged || names.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let before = std::mem::replace(&mut self.around.captured, captured.clone());
        // what was found so far is of the tables that were captured
        self.survey = Survey::default();
        let stop = self.around.stop.clone();
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Halt::Stop),
            looked = self.look(names, server, spot) => looked.map_err(Halt::Failed),
        };
        let changed = looked.is_ok().then(|| names.iter().filter_map(|name| self.survey.change_behind(name, spot)).cloned()).into_iter();
        let changed = changed.flatten().reduce(|one, other| if other.is_behind(&one) { other } else { one });
        if looked.is_err() || changed.is_some() {
            self.around.captured = before;
            self.survey = Survey::default();
        }
        looked.map(|answers| changed.map_or(Ok(answers), Err))
    }

    async fn look(&mut self, names: &[TableName], server: &Server, spot: &Spot) -> Result<Vec<(TableName, Schema)>> {
        let waiting = (std::mem::take(&mut self.names), std::mem::take(&mut self.all));
        self.all = names.len() > SCHEMA_QUERIES;
        self.names = if self.all { BTreeSet::new() } else { names.iter().cloned().collect() };
        let answers = self.ask().await;
        (self.names, self.all) = waiting;
        let mut answers = answers?;
        answers.retain(|(name, _)| names.contains(name));
        self.read_ahead(server, spot).await?;
        Ok(answers)
    }

    /// Other tables are captured from a place on; `answers` is what holds there of those that come, as far as that is known.
    pub async fn capture(
        &mut self,
        before: &Captured,
        after: &Captured,
        elsewhere: Vec<Captured>,
        place: &BinlogPosition,
        answers: Vec<(TableName, Schema)>,
    ) -> Result<(), Halt> {
        if answers.is_empty() {
            self.survey = Survey::default();
        }
        (self.around.captured, self.around.elsewhere) = (after.clone(), elsewhere);
        let Some(history) = &mut self.history else { return Ok(()) };
        let mut changes = history.capture(before, after, Milestone::new(place.clone(), None));
        for (name, schema) in answers {
            // texts and numbers: nothing of it can fail
            changes.extend(history.learn(&name, serde_json::to_string(&schema).unwrap_or_default().into(), place));
        }
        self.store(changes).await
    }

    /// Keeps which tables are captured from which place on.
    pub async fn keep_captured(&self, text: String) -> Result<(), Halt> {
        self.with_store(move |store| store.keep_captured(&text)).await
    }

    /// The sinks' places as they are durable now.
    pub async fn durable(&self) -> Result<Vec<Frontier>, Halt> {
        self.with_store(|store| store.durable()).await
    }
}
