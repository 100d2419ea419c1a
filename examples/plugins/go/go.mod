module mask-email

go 1.24

require sluicegate v0.0.0

replace sluicegate => ../../../plugins/sdk-go
