module sluicegate

go 1.24
